"""The kinds of cluster that can be brought up, behind one interface."""
