"""Stories that are printed for people: what was clicked, and what the files and tables hold before and after."""
