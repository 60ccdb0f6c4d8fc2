"""Health check of a container: ``python infra/healthy.py URL`` has status 0 if the URL answers with 200."""

import sys
import urllib.request

if __name__ == "__main__":
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=4) as answer:
            sys.exit(answer.status != 200)
    except OSError as error:
        sys.exit(f"{sys.argv[1]} does not answer: {error}")
