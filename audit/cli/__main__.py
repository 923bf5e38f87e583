"""``python -m audit.cli`` is ``nla-audit``."""

from audit.cli import main

if __name__ == "__main__":
    main()
