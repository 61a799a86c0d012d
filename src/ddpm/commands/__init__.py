"""What each command does: a run in, a result out; no parsing, no printing."""
