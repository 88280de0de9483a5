// An image of the user's: encoded, decoded, classified; z and y go on from it.
let image = new Float32Array(PIXELS);
function show(x) {
  image = x;
  paint($("seen"), x);
  const blank = !x.some((v) => v);
  $("verdict").textContent = blank ? "Draw a digit, drop an image file on the page, or take a test image." : "";
  // Without a classifier the label is the one that is chosen.
  const label = nets.classify ? classify(x, blank) : content.labels ? state.y : null;
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
  // What is of the model's size already is taken to be placed as its images are.
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
    button.addEventListener("click", () => {
      onPad(x);
      if (content.labels) state.y = label;
      show(x);
    });
    $("examples").append(button);
  });
  blankPad();
  show(image);
}
