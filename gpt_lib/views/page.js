// What all pages share; each page's own file follows it in one script.
function bytesOf(view) {
  return view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

function element(parent, tag, style, text = "") {
  const node = document.createElement(tag);
  node.style.cssText = style;
  node.textContent = text;
  parent.append(node);
  return node;
}
