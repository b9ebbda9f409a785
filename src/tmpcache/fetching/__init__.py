"""How a fetch is answered. The only code that knows both the store and the origin."""
