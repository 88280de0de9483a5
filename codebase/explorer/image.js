// From a drawing or photograph to an image like MNIST's: 28 × 28, ink 1 on paper 0, the digit
// scaled into 20 × 20 with its centre of mass where theirs lies: in [14, 15) both ways, 14.5 on average.
// Where the model's images are of another size, the same in proportion.

const BOX = 20 * SIDE / 28, CENTRE = 14.5 * SIDE / 28;
const FAINT = 0.2; // what is paler than this share of the darkest pixel is paper

// Ink in [0, 1] of a canvas's pixels, whichever of ink and paper is the darker.
function ink({ data, width, height }) {
  const grey = new Float32Array(width * height);
  for (let i = 0; i < grey.length; i++) {
    const alpha = data[4 * i + 3] / 255; // transparent is white paper
    const light = (0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]) / 255;
    grey[i] = alpha * (1 - light);
  }
  const edge = grey.filter((_, i) => {
    const x = i % width, y = (i - x) / width;
    return x === 0 || y === 0 || x === width - 1 || y === height - 1;
  });
  const paper = edge.sort()[edge.length >> 1];
  return paper > 0.5 ? grey.map((v) => 1 - v) : grey;
}

// The same with the paper at 0 and the darkest ink at 1.
function clean(grey) {
  const most = grey.reduce((a, b) => Math.max(a, b), 0);
  const least = grey.reduce((a, b) => Math.min(a, b), 1);
  if (most - least < 0.05) return grey.map(() => 0);
  const stretched = grey.map((v) => (v - least) / (most - least));
  return stretched.map((v) => (v < FAINT ? 0 : v));
}

// MNIST's own way of placing a digit. All paper stays all paper.
function centred(grey, width, height) {
  let left = width, right = -1, top = height, bottom = -1, sum = 0, sumX = 0, sumY = 0;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!grey[i]) continue;
      left = Math.min(left, x); right = Math.max(right, x);
      top = Math.min(top, y); bottom = Math.max(bottom, y);
      sum += grey[i]; sumX += grey[i] * (x + 0.5); sumY += grey[i] * (y + 0.5);
    }
  }
  const out = new Float32Array(SIDE * SIDE);
  if (!sum) return out;
  // A pixel of the result is the mean over a square of this side in the drawing.
  const side = Math.max(right - left + 1, bottom - top + 1) / BOX;
  const x0 = sumX / sum - CENTRE * side, y0 = sumY / sum - CENTRE * side;
  const across = shares(x0, side, width), down = shares(y0, side, height);
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      let total = 0;
      for (const [y, high] of down[row]) {
        for (const [x, wide] of across[column]) total += grey[y * width + x] * high * wide;
      }
      out[row * SIDE + column] = Math.min(total, 1);
    }
  }
  return out;
}

// Which pixels each of the SIDE steps from x0 covers, and the share of the step that each has.
function shares(x0, side, length) {
  return Array.from({ length: SIDE }, (_, step) => {
    const from = x0 + step * side, to = from + side, covered = [];
    for (let x = Math.max(Math.floor(from), 0); x < Math.min(to, length); x++) {
      const share = (Math.min(to, x + 1) - Math.max(from, x)) / side;
      if (share > 0) covered.push([x, share]);
    }
    return covered;
  });
}
