"""Erase: one person out of every store and every CRM, for ever.

``subject`` finds what is theirs, ``running`` takes it out step by step, ``receipts`` proves it,
``again`` repeats it after a restored backup. ``checking`` is what every entrance asks: nobody who
was erased comes in again. Nothing is imported here: the entrances load ``checking`` alone.
"""
