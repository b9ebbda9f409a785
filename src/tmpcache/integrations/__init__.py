"""Other libraries: what each takes of tmpcache's events. Each is imported when it is used."""
