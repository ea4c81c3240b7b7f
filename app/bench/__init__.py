"""`ganserve bench`: what a service does on the user's machine, and the settings that suit it."""
