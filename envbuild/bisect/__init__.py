"""The search for what breaks an environment: differences in groups, put on the good tree in ever smaller sets, each
tried with the user's test. Knows images and how commands run on them; prints nothing."""
