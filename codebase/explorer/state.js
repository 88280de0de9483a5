// What one sees and moves. The state is a latent vector z, the component of the prior that it is of
// ("" if it came from elsewhere) and a label y; all else is drawn from it.

const content = JSON.parse(document.getElementById("content").textContent);
const nets = model(content);
const $ = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const percent = (p) => `${(100 * p).toFixed(1)}\u00a0%`;
const SIDE = content.side, PIXELS = SIDE * SIDE; // of the model's images
for (const canvas of document.querySelectorAll(".digit")) canvas.width = canvas.height = SIDE;
const REACH = 3.5; // standard deviations of the prior that sliders and plane go to
// Sliders in view; others unfold. Where all is one column, the image of one's own lies below them,
const FIRST = matchMedia("(min-width: 60rem)").matches ? 10 : 3;
const MOST = 100; // and there are up to this many
const COLORS = content.colors; // of the digits
const Z = content.order ? content.order.length : 0;
const state = { z: Float32Array.from(content.prior_m || []), y: content.labels ? 0 : null, component: "" };
const named = (d) => `z[${d}]`; // as in Python, z[:, d]
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
  const axes = plane.axes().map((d) => `${named(d)} ${state.z[d].toFixed(2)}`).join(", ");
  $("plane").setAttribute("aria-label", `Latent plane, ${axes}`);
  plane.draw();
  if (content.components) {
    $("component").value = state.component;
    $("sample").disabled = state.component === "";
  }
  for (const { d, input, output } of sliders) {
    input.value = standard(d);
    output.value = state.z[d].toFixed(2);
    input.setAttribute("aria-valuetext", output.value);
  }
}

// Ink in [0, 1] on a canvas of the image's size, dark on white.
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
  state.component = "";
  state.z[d] = content.prior_m[d] + content.prior_s[d] * u;
  changed();
}
function goTo(z, component = "") {
  state.z.set(z);
  state.component = component;
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
