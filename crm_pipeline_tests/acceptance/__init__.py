"""The whole product as processes, against the sandbox, through its outside contract only."""
