"""Pure functions and the project's own files: literal inputs, no servers, no databases."""
