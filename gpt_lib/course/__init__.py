"""From notebook to library and back, and the rules that the house keeps."""
