"""What a loop has shown, for a person (one offline HTML file) and for a program (``summary.json``)."""
