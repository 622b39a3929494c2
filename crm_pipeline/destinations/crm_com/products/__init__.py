"""Products: sent by the thousand, taken over by CRM.COM in a process of its own."""
