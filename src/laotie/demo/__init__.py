"""The demonstration: a market, two labelled personas, and simulated fans who use Laotie as everybody does."""
