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
    plane.nameAxes(context, size);
    return canvas;
  },
  nameAxes(context, size) {
    const [across, up] = plane.axes().map(named), edge = 6 * devicePixelRatio;
    context.font = `${13 * devicePixelRatio}px system-ui, sans-serif`;
    context.lineWidth = 4 * devicePixelRatio; // a halo, over the dots
    context.strokeStyle = "#fff";
    context.fillStyle = "#000";
    for (const [name, align, x, y] of [
      [`${across} →`, "right", size - edge, size / 2 - edge],
      [`${up} ↑`, "left", size / 2 + edge, edge + context.lineWidth * 3],
    ]) {
      context.textAlign = align;
      context.strokeText(name, x, y);
      context.fillText(name, x, y);
    }
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

function standardNormal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

let means, componentM, componentS;
function prepareLatent() {
  means = decodeHalves(content.dots);
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

  const points = content.of === "variance";
  const rest = make("div");
  content.order.slice(0, MOST).forEach((d, place) => {
    const input = make("input", { type: "range", id: `slider-${d}`, min: -REACH, max: REACH, step: 0.05 });
    const output = make("output", { htmlFor: input.id });
    input.addEventListener("input", () => move(d, Number(input.value)));
    const kl = make("span", { textContent: ` ${content.of} ${content.kl[d].toFixed(2)}` });
    const label = make("label", { htmlFor: input.id }, named(d), kl);
    (place < FIRST ? $("sliders") : rest).append(make("div", { className: "slider" }, label, input, output));
    sliders.push({ d, input, output });
  });
  if (Z > FIRST) {
    const most = content.kl[content.order[FIRST]].toFixed(2);
    const unseen = Z > MOST ? `; ${Z - MOST} are not shown` : "";
    const summary = `${Math.min(Z, MOST) - FIRST} more, of ${content.of} ${most}${points ? "" : " nats"} at most${unseen}`;
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
    const none = new Option("none: z is from elsewhere", "");
    none.disabled = none.hidden = true; // shown, not chosen
    $("component").append(none);
    mixture.index.forEach((k, i) => {
      const use = `k = ${k}: ${percent(mixture.share[i])} of the test images, ${percent(mixture.purity[i])} of them a ${mixture.digit[i]}`;
      $("component").append(new Option(use, i));
    });
    const choose = (i) => goTo(part(componentM, Number(i)), i);
    $("component").addEventListener("change", () => choose($("component").value));
    choose("0");
  }
  $("kl-help").hidden = points;
  $("points-help").hidden = !points;
  if (points) $("middle").textContent = "Mean of the codes";
  const drawn = content.samples && decodeHalves(content.samples); // of a prior that is no Gaussian
  $("kl-of").textContent = mixture || drawn ? "the Gaussian of the prior’s mean and variance" : "the prior";
  $("sample").textContent = mixture ? "Sample z from the component" : "Sample z";
  $("sample").addEventListener("click", () => {
    if (drawn) return goTo(part(drawn, Math.floor(Math.random() * drawn.length / Z)));
    const [m, s] = mixture
      ? [componentM, componentS].map((table) => part(table, Number(state.component)))
      : [content.prior_m, content.prior_s];
    goTo(Array.from(m, (mean, d) => mean + s[d] * standardNormal()), state.component);
  });
  $("middle").addEventListener("click", () => goTo(content.prior_m));
  changed();
}
const part = (table, i) => table.subarray(i * Z, (i + 1) * Z);
