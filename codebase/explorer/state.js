// What one sees and moves. The state is a latent vector z and a label y; all else is drawn from it.

const content = JSON.parse(document.getElementById("content").textContent);
const nets = model(content);
const $ = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const percent = (p) => `${(100 * p).toFixed(1)}\u00a0%`;
const PIXELS = SIDE * SIDE;
const REACH = 3.5; // standard deviations of the prior that sliders and plane go to
const FIRST = 10; // sliders in view; others unfold,
const MOST = 100; // up to this many
const COLORS = ["#332288", "#56a8d8", "#44aa99", "#117733", "#8a8a1f", "#d9a400", "#cc6677", "#882255", "#aa4499", "#777777"];
const Z = content.order ? content.order.length : 0;
const state = { z: Float32Array.from(content.prior_m || []), y: content.labels ? 0 : null };
const sliders = [];

// Draws once per frame however often it is asked to.
let waiting = false;
function changed() {
  if (!waiting) requestAnimationFrame(render);
  waiting = true;
}
function render() {
  waiting = false;
  paint($("drawn"), nets.decode(state.z, state.y));
  const axes = plane.axes().map((d) => `z${d + 1} ${state.z[d].toFixed(2)}`).join(", ");
  $("plane").setAttribute("aria-label", `Latent plane, ${axes}`);
  plane.draw();
  for (const { d, input, output } of sliders) {
    input.value = standard(d);
    output.value = state.z[d].toFixed(2);
    input.setAttribute("aria-valuetext", output.value);
  }
}

// Ink in [0, 1] on a canvas of 28 × 28, dark on white.
function paint(canvas, values) {
  const picture = new ImageData(SIDE, SIDE);
  for (let i = 0; i < PIXELS; i++) {
    picture.data.fill(255 * (1 - values[i]), 4 * i, 4 * i + 3);
    picture.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// A coordinate in standard deviations from the prior's mean, and back.
const standard = (d) => (state.z[d] - content.prior_m[d]) / content.prior_s[d];
const limited = (u) => Math.max(-REACH, Math.min(REACH, u));
function move(d, u) {
  state.z[d] = content.prior_m[d] + content.prior_s[d] * u;
  changed();
}
function goTo(z) {
  state.z.set(z);
  changed();
}

// A pointer's strokes over a canvas, from press to release.
function follow(canvas, press, drag) {
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    press(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) drag(event);
  });
}
