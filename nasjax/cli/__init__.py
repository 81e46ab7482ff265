"""Commands: absl flags become a frozen dataclass, which becomes a library call."""
