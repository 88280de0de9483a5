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

// The plane of two latent dimensions.
const plane = {
  axes: () => [Number($("across").value), Number($("up").value)],
  background: null, // the dots, drawn once for each size and pair of axes
  draw() {
    const canvas = $("plane"), size = Math.round(canvas.clientWidth * devicePixelRatio);
    if (!size) return;
    if (canvas.width !== size || !plane.background) {
      canvas.width = canvas.height = size;
      plane.background = plane.dots(size);
    }
    const context = canvas.getContext("2d"), [x, y] = plane.place(plane.axes().map(standard), size);
    context.drawImage(plane.background, 0, 0);
    context.lineWidth = 2 * devicePixelRatio;
    context.strokeStyle = "#000";
    context.beginPath();
    context.arc(x, y, 7 * devicePixelRatio, 0, 7);
    context.stroke();
  },
  place: ([u, v], size) => [(limited(u) / REACH + 1) * size / 2, (1 - limited(v) / REACH) * size / 2],
  dots(size) {
    const canvas = make("canvas", { width: size, height: size }), context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, size, size);
    context.strokeStyle = "#ddd";
    context.strokeRect(size / 2, -1, size, size / 2 + 1);
    context.strokeRect(-1, size / 2, size / 2 + 1, size);
    const columns = Math.min(Z, means.length / content.dot_labels.length);
    const axes = plane.axes(), at = axes.map((d) => content.order.indexOf(d));
    const unit = (i, a) => (means[i * columns + at[a]] - content.prior_m[axes[a]]) / content.prior_s[axes[a]];
    for (let i = 0; i < content.dot_labels.length; i++) {
      const [u, v] = [unit(i, 0), unit(i, 1)];
      if (Math.abs(u) > REACH || Math.abs(v) > REACH) continue;
      const [x, y] = plane.place([u, v], size);
      context.fillStyle = COLORS[content.dot_labels[i]];
      context.beginPath();
      context.arc(x, y, 2 * devicePixelRatio, 0, 7);
      context.fill();
    }
    return canvas;
  },
  point(event) {
    const box = $("plane").getBoundingClientRect(), [across, up] = plane.axes();
    move(across, limited(((event.clientX - box.left) / box.width * 2 - 1) * REACH));
    move(up, limited((1 - (event.clientY - box.top) / box.height * 2) * REACH));
  },
  key(event) {
    const [across, up] = plane.axes(), step = event.shiftKey ? 0.5 : 0.1;
    const moves = {
      ArrowLeft: [[across, -step]], ArrowRight: [[across, step]],
      ArrowDown: [[up, -step]], ArrowUp: [[up, step]],
      Home: [[across, -standard(across)], [up, -standard(up)]],
    }[event.key];
    if (!moves) return;
    event.preventDefault();
    for (const [d, by] of moves) move(d, limited(standard(d) + by));
  },
};

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

function standardNormal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

let means, componentM, componentS;
function prepareLatent() {
  means = decodeHalves(content.dots);
  const named = (d) => `z${d + 1}`;
  for (const [id, first] of [["across", 0], ["up", Math.min(1, Z - 1)]]) {
    const shown = content.order.slice(0, means.length / content.dot_labels.length);
    $(id).append(...shown.map((d) => new Option(named(d), d)));
    $(id).value = content.order[first];
    $(id).addEventListener("change", () => { plane.background = null; changed(); });
  }
  $("axes").hidden = Z <= 2;
  if (Z === 2) { $("across").value = 0; $("up").value = 1; }
  $("plane").parentElement.hidden = $("plane-help").hidden = Z < 2;
  follow($("plane"), plane.point, plane.point);
  $("plane").addEventListener("keydown", plane.key);
  new ResizeObserver(changed).observe($("plane"));
  for (const digit of [...new Set(content.dot_labels)].sort()) {
    const dot = make("i");
    dot.style.background = COLORS[digit];
    $("legend").append(make("span", {}, dot, digit));
  }

  const rest = make("div");
  content.order.slice(0, MOST).forEach((d, place) => {
    const input = make("input", { type: "range", id: `slider-${d}`, min: -REACH, max: REACH, step: 0.05 });
    const output = make("output", { htmlFor: input.id });
    input.addEventListener("input", () => move(d, Number(input.value)));
    const kl = make("span", { textContent: ` kl ${content.kl[d].toFixed(2)}` });
    const label = make("label", { htmlFor: input.id }, named(d), kl);
    (place < FIRST ? $("sliders") : rest).append(make("div", { className: "slider" }, label, input, output));
    sliders.push({ d, input, output });
  });
  if (Z > FIRST) {
    const most = content.kl[content.order[FIRST]].toFixed(2);
    const unseen = Z > MOST ? `; ${Z - MOST} are not shown` : "";
    const summary = `${Math.min(Z, MOST) - FIRST} more, of kl ${most} nats at most${unseen}`;
    $("sliders").append(make("details", {}, make("summary", { textContent: summary }), rest));
  }

  $("labels").hidden = !content.labels;
  for (let y = 0; y < content.labels; y++) {
    const input = make("input", { type: "radio", name: "label", value: y, checked: y === 0 });
    input.addEventListener("change", () => { state.y = y; changed(); });
    $("labels").append(make("label", {}, input, String(y)));
  }
  const [open, close] = content.pixels === "binary" ? ["p(", ")"] : ["E[", "]"];
  $("mean").textContent = `${open}x | ${content.labels ? "z, y" : "z"}${close}, pixel by pixel`;

  const mixture = content.components;
  $("mixture").hidden = !mixture;
  if (mixture) {
    componentM = decodeHalves(mixture.m);
    componentS = decodeHalves(mixture.s);
    mixture.index.forEach((k, i) => {
      const use = `k = ${k + 1}: ${percent(mixture.share[i])} of the test images, ${percent(mixture.purity[i])} of them a ${mixture.digit[i]}`;
      $("component").append(new Option(use, i));
    });
    const choose = () => goTo(part(componentM, Number($("component").value)));
    $("component").addEventListener("change", choose);
    choose();
  }
  $("kl-help").hidden = false;
  $("kl-of").textContent = mixture ? "the Gaussian of the prior’s mean and variance" : "the prior";
  $("sample").textContent = mixture ? "Sample z from the component" : "Sample z";
  $("sample").addEventListener("click", () => {
    const i = mixture && Number($("component").value);
    const m = mixture ? part(componentM, i) : content.prior_m;
    const s = mixture ? part(componentS, i) : content.prior_s;
    goTo(Array.from(m, (mean, d) => mean + s[d] * standardNormal()));
  });
  $("middle").addEventListener("click", () => goTo(content.prior_m));
  changed();
}
const part = (table, i) => table.subarray(i * Z, (i + 1) * Z);

// An image of the user's: encoded, decoded, classified; z and y go on from it.
let image = new Float32Array(PIXELS);
function show(x) {
  image = x;
  paint($("seen"), x);
  const blank = !x.some((v) => v);
  $("verdict").textContent = blank ? "Draw a digit, drop an image file on the page, or take a test image." : "";
  const label = nets.classify ? classify(x, blank) : null;
  if (nets.encode) {
    const z = nets.encode(x, label);
    paint($("again"), blank ? x : nets.decode(z, label));
    if (blank) return;
    goTo(z);
    if (content.labels) {
      state.y = label;
      document.querySelector(`#labels input[value="${label}"]`).checked = true;
    }
  }
}

function classify(x, blank) {
  const q = nets.classify(x), most = q.indexOf(Math.max(...q));
  q.forEach((p, y) => {
    const row = $("bars").rows[y];
    row.className = !blank && y === most ? "most" : "";
    row.querySelector("i").style.width = blank ? 0 : `${100 * p}%`;
    row.lastChild.textContent = blank ? "" : percent(p);
  });
  if (!blank) $("verdict").textContent = `q(y|x): a ${most}, with probability ${percent(q[most])}`;
  return most;
}

const pad = $("pad").getContext("2d", { willReadFrequently: true });
const LENGTH = $("pad").width;
let reading = false, last = null;
function readPad() {
  if (reading) return;
  reading = true;
  requestAnimationFrame(() => {
    reading = false;
    show(centred(clean(ink(pad.getImageData(0, 0, LENGTH, LENGTH))), LENGTH, LENGTH));
  });
}
function blankPad() {
  pad.fillStyle = "#fff";
  pad.fillRect(0, 0, LENGTH, LENGTH);
}
function stroke(event) {
  const box = $("pad").getBoundingClientRect(), scale = LENGTH / box.width;
  const here = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  pad.lineWidth = 22;
  pad.lineCap = pad.lineJoin = "round";
  pad.strokeStyle = "#000";
  pad.beginPath();
  pad.moveTo(...(last || here));
  pad.lineTo(...here);
  pad.stroke();
  last = here;
  readPad();
}

// Puts what `picture` is drawn from on the pad, as large as it fits.
function putOnPad(picture, width, height) {
  const scale = LENGTH / Math.max(width, height), w = width * scale, h = height * scale;
  blankPad();
  pad.imageSmoothingEnabled = scale < 1;
  pad.imageSmoothingQuality = "high";
  pad.drawImage(picture, (LENGTH - w) / 2, (LENGTH - h) / 2, w, h);
}

async function openFile(file) {
  if (!file) return;
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    $("verdict").textContent = `${file.name} is no image that this browser reads.`;
    return;
  }
  const { width, height } = picture, scale = Math.min(1, LENGTH / Math.max(width, height));
  const [w, h] = [width, height].map((n) => Math.max(Math.round(n * scale), 1));
  const context = make("canvas", { width: w, height: h }).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, w, h);
  const grey = ink(context.getImageData(0, 0, w, h));
  // What is 28 × 28 already is taken to be placed as MNIST's digits are.
  const x = w === SIDE && h === SIDE ? grey : centred(clean(grey), w, h);
  onPad(x);
  show(x);
  if (!x.some((v) => v)) $("verdict").textContent = `${file.name} shows nothing but paper.`;
}
function onPad(x) {
  const small = make("canvas", { width: SIDE, height: SIDE });
  paint(small, x);
  putOnPad(small, SIDE, SIDE);
}

function prepareImage() {
  $("reconstruction").hidden = !nets.encode;
  $("bars").hidden = !nets.classify;
  for (let y = 0; y < content.labels; y++) {
    const row = $("bars").insertRow();
    row.append(make("th", { scope: "row", textContent: y }), make("td", {}, make("i")), make("td"));
  }
  follow($("pad"), (event) => { last = null; stroke(event); }, stroke);
  $("clear").addEventListener("click", () => { blankPad(); show(new Float32Array(PIXELS)); });
  $("file").addEventListener("change", () => openFile($("file").files[0]));
  addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
  addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    openFile(event.dataTransfer.files[0]);
  });

  const pixels = decodeBytes(content.examples);
  content.example_labels.forEach((label, i) => {
    const x = Float32Array.from(pixels.subarray(i * PIXELS, (i + 1) * PIXELS), (v) => v / 255);
    const canvas = make("canvas", { width: SIDE, height: SIDE });
    paint(canvas, x);
    const button = make("button", { type: "button", ariaLabel: `test image of a ${label}` }, canvas);
    button.addEventListener("click", () => { onPad(x); show(x); });
    $("examples").append(button);
  });
  blankPad();
  show(image);
}

document.title = `${content.name} — explorer`;
$("title").textContent = content.name;
const size = Z ? `, z = ${Z}` : ", the classifier alone";
$("about").textContent = `${content.kind}${size}, after ${content.step.toLocaleString("en")} iterations on ${content.data}`;
$("latent").hidden = !nets.decode;
prepareImage();
if (nets.decode) prepareLatent();
