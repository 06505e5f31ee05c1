"""Real data that packages ship, one file a kind; nothing is downloaded at run time."""
