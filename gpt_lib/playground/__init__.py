"""One session of writing with models, and its faces: notebook and terminal."""
