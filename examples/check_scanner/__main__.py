"""``python -m examples.check_scanner`` runs the demo."""

from examples.check_scanner.demo import main

raise SystemExit(main())
