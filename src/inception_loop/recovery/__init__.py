"""What a loop has recovered of an animal whose true answers are known."""
