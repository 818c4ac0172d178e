"""What is known of a finished image: its name, its configuration, its accounts, its network settings.

Must not know how images are built.
"""
