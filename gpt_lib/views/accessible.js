// The handle of a slider, which is what one moves, has no name to be spoken and is given the
// slider's label.
function nameHandles(form, spoken) {
  for (const handle of form.querySelectorAll(".widget-slider .noUi-handle")) {
    handle.setAttribute("aria-label", handle.closest(".widget-slider").querySelector("label").textContent);
    spoken.observe(handle, { attributeFilter: ["aria-valuetext"] });
  }
}

// A slider makes 0.9000000000000001 of 0.9, and that would be read out.
function shorten({ target }) {
  const told = target.getAttribute("aria-valuetext"), short = shortest(Number(told));
  if (told !== short) target.setAttribute("aria-valuetext", short);
}

// Menus and radio buttons let their keys go on to Lab, which moves to another cell.
function keepIn(event) {
  if (event.target.matches("select, input[type=radio]")) keepKeys(event);
}

function render({ el }) {
  let form = null;
  const spoken = new MutationObserver((changes) => changes.forEach(shorten));
  // The other controls come to the page one by one: whatever is new is mended.
  const grown = new MutationObserver(() => nameHandles(form, spoken));
  const seen = new IntersectionObserver(() => {
    form = el.closest(".gpt-form");
    if (!form) return;
    seen.disconnect();
    form.addEventListener("keydown", keepIn);
    grown.observe(form, { childList: true, subtree: true });
    nameHandles(form, spoken);
  });
  seen.observe(el);
  return () => {
    [seen, grown, spoken].forEach((observer) => observer.disconnect());
    form?.removeEventListener("keydown", keepIn);
  };
}

export default { render };
