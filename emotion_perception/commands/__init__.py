"""The commands of `emotion-perception`, one file each; cli.py joins them."""
