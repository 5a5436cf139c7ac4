"""The dialects that the gateway speaks, by name. A new one is a folder and a line here."""
