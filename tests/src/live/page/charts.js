// Line charts in SVG. A chart keeps the last two minutes of each of its lines.
"use strict";

// Colours that people who see colours differently can tell apart (Okabe and Ito).
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const SAMPLES = 120;
const WIDTH = 400, HEIGHT = 130, LEFT = 34, BOTTOM = 14, TOP = 6;

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

class Chart {
  constructor(id, options = {}) {
    this.place = document.getElementById(id);
    this.least = options.least ?? 1;
    this.unit = options.unit ?? "";
    this.lines = new Map();
    this.ticks = 0;
  }

  // One sample of each line, by name; a line without one has a gap.
  add(values) {
    this.ticks += 1;
    for (const name of Object.keys(values)) {
      if (!this.lines.has(name)) this.lines.set(name, []);
    }
    for (const [name, samples] of this.lines) {
      samples.push({ tick: this.ticks, value: values[name] ?? null });
      if (samples.length > SAMPLES) samples.shift();
    }
    this.draw();
  }

  draw() {
    let most = this.least;
    for (const samples of this.lines.values()) {
      for (const { value } of samples) if (value > most) most = value;
    }
    const x = (tick) => LEFT + (WIDTH - LEFT) * (1 - (this.ticks - tick) / (SAMPLES - 1));
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
    const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    for (const part of [0, 0.5, 1]) {
      const at = y(most * part);
      svg.append(element("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: at, y2: at }));
      svg.append(element("text", { x: 0, y: at + 4 }, short(most * part) + this.unit));
    }
    svg.append(element("text", { x: LEFT, y: HEIGHT - 2 }, "2 min ago"));
    const legend = document.createElement("div");
    legend.className = "legend";
    let number = 0;
    for (const [name, samples] of this.lines) {
      const colour = COLOURS[number++ % COLOURS.length];
      for (const run of runs(samples)) {
        const points = run.map(({ tick, value }) => `${x(tick).toFixed(1)},${y(value).toFixed(1)}`);
        svg.append(element("polyline", { points: points.join(" "), stroke: colour }));
      }
      const last = samples[samples.length - 1].value;
      const entry = document.createElement("span");
      const mark = document.createElement("i");
      mark.style.background = colour;
      entry.append(mark, `${name}: ${last === null ? "-" : short(last)}${this.unit}`);
      legend.append(entry);
    }
    this.place.replaceChildren(svg, legend);
  }
}

// The parts of a line between its gaps.
function runs(samples) {
  const found = [[]];
  for (const sample of samples) {
    if (sample.value === null) found.push([]);
    else found[found.length - 1].push(sample);
  }
  return found.filter((run) => run.length > 0);
}

function short(value) {
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toFixed(1);
}
