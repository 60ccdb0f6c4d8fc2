"""Recordings that arrive in a folder or bucket: by what name, when they are whole, which are bad."""
