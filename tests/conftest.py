"""Makes tests/ importable from its folders: `arrays`, `golden_checks`."""
