// The legend of the shades: a swatch for each label, the last for what is not known.
function addLegend(parent, quantity, labels) {
  const legend = element(parent, "div", "gpt-legend");
  element(legend, "span", "", `${quantity} in nats:`);
  labels.forEach((label, shade) => {
    element(element(legend, "span", "gpt-shaded"), "span", `gpt-shade-${shade}`, label);
  });
  return legend;
}
