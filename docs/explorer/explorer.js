// The explorer's page: sliders, numbers, drawings, address and Python. DATA, from data.js, is
// written by docs/explorer_files.py; the physics is in closed_forms.js.
"use strict";

(() => {
  const root = document.getElementById("explorer");
  const find = (selector) => root.querySelector(selector);
  const SVG = "http://www.w3.org/2000/svg";
  const FOLLOW = "follow";

  // Elements

  function html(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function svg(name, attributes = {}, ...children) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  const remark = (name, text) => (find(`[data-remark="${name}"]`).textContent = text);

  // Numbers

  // To four digits, as neuromod writes them.
  function format(value, digits = 4) {
    if (!Number.isFinite(value)) return "–";
    if (value === 0) return "0";
    const exponent = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))));
    if (exponent < -4 || exponent > 8) return String(Number(value.toPrecision(digits)).toExponential());
    return String(Number(value.toFixed(Math.max(0, digits - 1 - exponent))));
  }

  const withUnit = (text, unit) => (unit.startsWith("1/") ? text + unit.slice(1) : `${text} ${unit}`.trim());
  const labelled = (label, unit) => (unit ? `${label} (${unit})` : label);

  // State: numbers in the sliders' units

  function start() {
    const state = { receptor: Object.keys(DATA.receptors)[0], circuit: Object.keys(DATA.circuits)[0] };
    for (const [name, slider] of Object.entries(DATA.sliders)) state[name] = slider.start;
    return { ...state, ...DATA.receptors[state.receptor].sliders, vdd: FOLLOW, codes: [...DATA.comparison.codes] };
  }

  let state = start();

  function range(name) {
    const { low, high, zero } = DATA.sliders[name];
    const [first, last] = name === "vdd" ? DATA.circuits[state.circuit].vdd : [low, high];
    return { low: first, high: last, zero };
  }

  function allowed(name, value) {
    const { low, high, zero } = range(name);
    return Number.isFinite(value) && ((value >= low && value <= high) || (zero && value === 0));
  }

  function inWords(name) {
    const { low, high, zero } = range(name);
    return withUnit(`${zero ? "0, or " : ""}${low} to ${high}`, DATA.sliders[name].unit);
  }

  // Whatever the page shows, in base units.
  function results() {
    const si = Object.fromEntries(
      Object.entries(DATA.sliders).map(([name, slider]) => [name, state[name] * slider.si]),
    );
    const receptor = {
      k_on: DATA.receptors[state.receptor].k_on,
      k_off: si.k_off, n: si.n, K: si.K, gain_max: si.gain_max,
    };
    const { cell, comparison } = DATA;
    const circuit = DATA.circuits[state.circuit];
    const other = circuit.law === "square" ? "ekv" : "square";
    const receptorGain = ClosedForms.receptorGain(receptor, si.conc);
    const gain = si.trained_gain * receptorGain;
    const [low, high] = circuit.vdd;
    const wanted = ClosedForms.vddOf(circuit, gain);
    const followed = Math.min(Math.max(wanted, low), high);
    const vdd = state.vdd === FOLLOW ? followed : state.vdd;
    const input = { ...comparison, codes: state.codes };
    const cellSide = ClosedForms.cellMembrane(comparison.cell, circuit, input, gain);
    const chipSide = ClosedForms.circuitMembrane(circuit, input, vdd);
    const scale = comparison.time_scale;
    const interval = comparison.dt * scale;
    const count = Math.round(comparison.duration / comparison.dt);
    const shares = [
      ClosedForms.shares(cellSide, comparison.cell, interval, count),
      ClosedForms.shares(chipSide, circuit, comparison.dt, count),
    ];
    const chipSpikes = chipSide.spikes.map((time) => time * scale);
    const window = [comparison.window, comparison.duration * scale];
    const unit = ClosedForms.unitCurrent(circuit, circuit.law, vdd);
    const slope = ClosedForms.transconductance(circuit, circuit.law, vdd);
    const numbers = {
      occupancy: ClosedForms.occupancy(receptor, si.conc),
      activation: ClosedForms.activation(receptor, si.conc),
      K_D: ClosedForms.dissociation(receptor),
      ec50: ClosedForms.ec50(receptor),
      hill_slope: ClosedForms.hillSlope(receptor),
      receptor_gain: receptorGain,
      trained_gain: si.trained_gain,
      gain,
      rheobase: ClosedForms.rheobase(cell, gain),
      rate: ClosedForms.rate(cell, si.I, gain),
      control_rate: ClosedForms.rate(cell, si.I, 1),
      vdd,
      chip_gain: ClosedForms.gainOf(circuit, vdd),
      unit_current: unit,
      other_current: ClosedForms.unitCurrent(circuit, other, vdd),
      sensitivity: slope / unit,
      step: ClosedForms.step(circuit, vdd),
      cell_spikes: cellSide.spikes.length,
      chip_spikes: chipSide.spikes.length,
      coincidence_factor: ClosedForms.coincidenceFactor(cellSide.spikes, chipSpikes, ...window),
      rmse: ClosedForms.rmseBelow(...shares),
      v_cell: comparison.cell.v_rest + ClosedForms.valueAt(cellSide, si.time),
      v_chip: circuit.v_rest + ClosedForms.valueAt(chipSide, si.time / scale),
    };
    return { si, receptor, circuit, other, wanted, numbers, cellSide, chipSide, shares, chipSpikes };
  }

  // Drawings. A chart has its size in CSS pixels, so that letters keep theirs. Widths are read when
  // they change, because reading them has the browser lay out the page.

  const widths = {};

  function measure() {
    for (const area of root.querySelectorAll("[data-chart]")) {
      widths[area.dataset.chart] = Math.max(200, area.clientWidth);
    }
  }

  const ROW = 11;

  function ticksOf({ low, high, log }, room) {
    const most = Math.max(2, Math.floor(room / 45));
    if (log) {
      const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
      const every = Math.ceil((last - first) / most);
      const ticks = [];
      for (let power = first; power <= last; power += every) ticks.push(10 ** power);
      return ticks;
    }
    const rough = (high - low) / most;
    const decade = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * decade).find((each) => each >= rough * 0.999);
    const ticks = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
      ticks.push(Number((k * step).toPrecision(6)));
    }
    return ticks;
  }

  // Nearest round number above, so that an axis changes seldom.
  function roundUp(value) {
    if (!(value > 0)) return 1;
    const decade = 10 ** Math.floor(Math.log10(value));
    return decade * [1, 1.5, 2, 3, 4, 6, 8, 10].find((factor) => factor * decade >= value * 0.9999);
  }

  const tickText = (value, log) =>
    log && (value < 0.01 || value > 1000) ? `10${superscript(Math.round(Math.log10(value)))}` : format(value);
  const superscript = (power) => [...String(power)].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");

  function chart(name, { x, y, right, height, rows = [], bands = [], lines, guides = [], dots, told }) {
    const area = find(`[data-chart="${name}"]`);
    const width = widths[name];
    const top = 12 + rows.length * ROW;
    const box = { left: 46, right: width - (right ? 46 : 12), top, bottom: height + top - 40 };
    const place = (axis, from, to) => {
      const of = axis.log ? Math.log : (value) => value;
      const [low, high] = [of(axis.low), of(axis.high)];
      return (value) => from + ((of(value) - low) / (high - low)) * (to - from);
    };
    const [toX, toY] = [place(x, box.left, box.right), place(y, box.bottom, box.top)];
    const parts = [svg("title", {}, told)];
    for (const { low, high } of bands) {
      const [upper, lower] = [Math.min(high, y.high), Math.max(low, y.low)];
      if (upper <= lower) continue;
      parts.push(svg("rect", {
        class: "band", x: box.left, width: box.right - box.left,
        y: toY(upper), height: toY(lower) - toY(upper),
      }));
    }
    const axes = svg("g", { class: "axes" });
    axes.append(svg("path", { d: `M${box.left},${box.top}V${box.bottom}H${box.right}${right ? `V${box.top}` : ""}` }));
    const text = (content, at) => axes.append(svg("text", at, content));
    for (const value of ticksOf(x, box.right - box.left)) {
      axes.append(svg("path", { d: `M${toX(value)},${box.bottom}v4` }));
      text(tickText(value, x.log), { x: toX(value), y: box.bottom + 16, "text-anchor": "middle", "data-x": value });
    }
    for (const value of ticksOf(y, box.bottom - box.top)) {
      axes.append(svg("path", { d: `M${box.left},${toY(value)}h-4` }));
      text(tickText(value), { x: box.left - 7, y: toY(value) + 4, "text-anchor": "end", "data-y": value });
    }
    if (right) {
      const scaled = { low: y.low / right.one, high: y.high / right.one };
      for (const value of ticksOf(scaled, box.bottom - box.top)) {
        const at = toY(value * right.one);
        axes.append(svg("path", { d: `M${box.right},${at}h4` }));
        text(tickText(value), { x: box.right + 7, y: at + 4 });
      }
    }
    const middle = (box.top + box.bottom) / 2;
    text(x.label, { x: (box.left + box.right) / 2, y: box.bottom + 34, "text-anchor": "middle" });
    const upright = (at, label) =>
      text(label, { transform: `translate(${at},${middle}) rotate(-90)`, "text-anchor": "middle" });
    upright(12, y.label);
    if (right) upright(width - 6, right.label);
    parts.push(axes);
    rows.forEach(({ label, marks, kind }, k) => {
      const [upper, lower] = [6 + k * ROW, 6 + k * ROW + ROW - 3];
      const d = marks.map((mark) => `M${toX(mark).toFixed(2)},${upper}V${lower}`).join("");
      parts.push(svg("g", { class: `row ${kind}` },
        svg("text", { x: box.left - 7, y: lower + 1, "text-anchor": "end" }, label), svg("path", { d })));
    });
    for (const { across, up, kind = "" } of guides) {
      const d = across === undefined
        ? `M${toX(up)},${box.top}V${box.bottom}` : `M${box.left},${toY(across)}H${box.right}`;
      parts.push(svg("path", { class: `guide ${kind}`, d }));
    }
    for (const { points, kind } of lines) {
      const d = points.map(([a, b]) => `${toX(a).toFixed(2)},${toY(b).toFixed(2)}`).join("L");
      parts.push(svg("path", { class: `line ${kind}`, d: `M${d}` }));
    }
    for (const { at: [a, b], kind } of dots) {
      parts.push(svg("circle", { class: `dot ${kind}`, cx: toX(a), cy: toY(b), r: 5 }));
    }
    const tall = height + top;
    area.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    area.setAttribute("aria-label", told);
    area.replaceChildren(...parts);
  }

  const grid = (low, high, count) => Array.from({ length: count + 1 }, (_, k) => low + ((high - low) * k) / count);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const shown = (name, value) => withUnit(format(value / DATA.numbers[name].si), DATA.numbers[name].unit);

  function drawDose({ si, receptor, circuit, numbers }) {
    const { low, high, si: unit, unit: symbol } = DATA.sliders.conc;
    const concs = grid(Math.log10(low), Math.log10(high), 160).map((power) => 10 ** power);
    const of = (conc) => ClosedForms.receptorGain(receptor, conc * unit);
    const reach = circuit.vdd.map((vdd) => ClosedForms.gainOf(circuit, vdd) / si.trained_gain);
    const { ec50, receptor_gain: gain } = numbers;
    const kinds = { kind: "cell" };
    chart("dose", {
      height: 230,
      x: { low, high, log: true, label: labelled(DATA.sliders.conc.label, symbol) },
      y: { low: 0, high: roundUp(Math.max(1, receptor.gain_max) * 1.05), label: "gain" },
      bands: si.trained_gain > 0 ? [{ low: reach[0], high: reach[1] }] : [],
      guides: [{ across: 1 }, { up: clamp(ec50 / unit, low, high), kind: "dashed" }],
      lines: [{ ...kinds, points: concs.map((conc) => [conc, of(conc)]) }],
      dots: [{ ...kinds, at: [clamp(state.conc, low, high), gain] }],
      told: `Gain of the receptor against concentration: from 1 towards ${format(of(high))}, ` +
        `EC50 ${shown("ec50", ec50)} (dashed), ${format(gain)} at ${withUnit(String(state.conc), symbol)}.`,
    });
  }

  function drawRate({ numbers, si }) {
    const { cell } = DATA;
    const { low, high, si: unit, unit: symbol, label } = DATA.sliders.I;
    // The curve starts with an upright tangent at rheobase, where points are dense.
    const curve = (gain) => {
      const onset = ClosedForms.rheobase(cell, gain) / unit;
      const dense = grid(0, 1, 60).map((share) => onset + (high - onset) * share ** 3);
      const currents = onset < high ? [...grid(low, high, 100), ...dense].filter((I) => I >= low) : [low, high];
      const points = currents.sort((a, b) => a - b);
      return points.map((I) => [I, ClosedForms.rate(cell, I * unit, gain)]);
    };
    const own = curve(numbers.gain);
    const most = Math.max(own.at(-1)[1], curve(1).at(-1)[1]);
    chart("rate", {
      height: 230,
      x: { low, high, label: labelled(label, symbol) },
      y: { low: 0, high: roundUp(most), label: labelled("firing rate", DATA.numbers.rate.unit) },
      lines: [{ kind: "control", points: curve(1) }, { kind: "cell", points: own }],
      dots: [{ kind: "cell", at: [state.I, ClosedForms.rate(cell, si.I, numbers.gain)] }],
      told: `Firing rate against current at gain ${format(numbers.gain)}, and dashed at gain 1: ` +
        `${shown("rate", numbers.rate)} and ${shown("control_rate", numbers.control_rate)} at ` +
        `${withUnit(String(state.I), symbol)}.`,
    });
  }

  function drawMirror({ circuit, other, numbers }) {
    const { unit, si } = DATA.numbers.unit_current;
    const [low, high] = circuit.vdd;
    const most = ClosedForms.unitCurrent(circuit, circuit.law, high);
    const curve = (law) => {
      if (law === "square") return grid(low, high, 120).map((vdd) => [vdd, ClosedForms.unitCurrent(circuit, law, vdd) / si]);
      const ends = [low, high].map((vdd) => Math.sqrt(ClosedForms.unitCurrent(circuit, law, vdd)));
      return grid(...ends, 120).map((root) => [ClosedForms.vddFor(circuit, law, root ** 2), root ** 2 / si]);
    };
    const one = ClosedForms.unitCurrent(circuit, circuit.law, circuit.vdd_reference) / si;
    const highest = Math.max(most / si, curve(other).at(-1)[1]);
    chart("mirror", {
      height: 230,
      x: { low, high, label: labelled("VDD", DATA.sliders.vdd.unit) },
      y: { low: 0, high: roundUp(highest), label: labelled("unit current", unit) },
      right: { one, label: "gain" },
      guides: [{ across: one }, { up: circuit.vdd_reference }],
      lines: [{ kind: "control", points: curve(other) }, { kind: "chip", points: curve(circuit.law) }],
      dots: [{ kind: "chip", at: [numbers.vdd, numbers.unit_current / si] }],
      told: `Current of one least significant bit against the supply, ${lawName(circuit.law)}, and dashed ` +
        `${lawName(other)}: ${shown("unit_current", numbers.unit_current)}, gain ${format(numbers.chip_gain)}, ` +
        `at ${shown("vdd", numbers.vdd)}.`,
    });
  }

  const lawName = (law) => (law === "square" ? "square law" : "EKV");

  // Points of a membrane between two times: every edge, where it may jump, and a curve between.
  function path({ pieces, tau }, model, [first, last], scale, unit) {
    const swing = model.v_th - model.v_rest;
    const points = [];
    for (const [k, { start, from, to }] of pieces.entries()) {
      const [begin, end] = [Math.max(start, first), Math.min(pieces[k + 1]?.start ?? last, last)];
      if (begin > end) continue;
      const count = from === to ? 1 : Math.ceil(((end - begin) / tau) * 40);
      for (const time of grid(begin, end, count)) {
        const u = to + (from - to) * Math.exp(-(time - start) / tau);
        points.push([(time * scale) / unit, u / swing]);
      }
    }
    return points;
  }

  // Membranes, spikes and inputs of a part of the time.
  function drawPart(name, [from, until], found, rest) {
    const { circuit, numbers, cellSide, chipSide, chipSpikes } = found;
    const { comparison } = DATA;
    const { si: unit, unit: symbol } = DATA.sliders.time;
    const { cell, time_scale: scale, dt } = comparison;
    const cellPath = path(cellSide, cell, [from * unit, until * unit], 1, unit);
    const chipPath = path(chipSide, circuit, [(from * unit) / scale, (until * unit) / scale], scale, unit);
    const heights = [...cellPath, ...chipPath].map(([, u]) => u);
    const quarters = [Math.floor(Math.min(...heights) * 4) / 4, Math.ceil(Math.max(...heights) * 4) / 4];
    const drawn = (times) => times.map((time) => time / unit).filter((time) => time >= from && time < until);
    const times = (neuron) => comparison.steps.filter((_, k) => comparison.neurons[k] === neuron);
    const inputs = state.codes.map((code, neuron) => ({
      kind: "input",
      label: code > 0 ? `+${code}` : String(code).replace("-", "−"),
      marks: drawn(times(neuron).map((at) => at * dt * scale)),
    }));
    const share = (v, model) => (v - model.v_rest) / (model.v_th - model.v_rest);
    chart(name, {
      height: 270,
      y: { low: Math.min(-0.25, quarters[0]), high: Math.max(1.25, quarters[1]), label: "share of swing" },
      rows: [
        ...inputs,
        { kind: "cell", label: "cell", marks: drawn(cellSide.spikes) },
        { kind: "chip", label: "chip", marks: drawn(chipSpikes) },
      ],
      guides: [{ across: 1, kind: "dashed" }, { across: 0 }, { up: state.time }],
      lines: [{ kind: "cell broad", points: cellPath }, { kind: "chip", points: chipPath }],
      dots: [
        { kind: "cell", at: [state.time, share(numbers.v_cell, cell)] },
        { kind: "chip", at: [state.time, share(numbers.v_chip, circuit)] },
      ],
      ...rest(symbol),
    });
  }

  function drawMembranes(found) {
    const { numbers } = found;
    const { high, si: unit } = DATA.sliders.time;
    const { comparison } = DATA;
    const whole = (comparison.duration * comparison.time_scale) / unit;
    drawPart("membranes", [0, high], found, (symbol) => ({
      x: { low: 0, high, label: `biological time (${symbol}) = chip time (${comparison.chip_unit})` },
      told: "Membranes between rest (0) and threshold (1), with input spikes by code and output spikes above: " +
        `the cell at gain ${format(numbers.gain)} fires ${numbers.cell_spikes} times in ` +
        `${withUnit(format(whole), symbol)}, the chip at ${shown("vdd", numbers.vdd)} ${numbers.chip_spikes} times.`,
    }));
    const low = clamp(state.time - 0.4, 0, high - 0.8);
    drawPart("zoom", [low, low + 0.8], found, (symbol) => ({
      x: { low, high: low + 0.8, label: `around ${withUnit(format(state.time), symbol)}` },
      told: `The same around ${withUnit(format(state.time), symbol)}: the cell is at ` +
        `${shown("v_cell", numbers.v_cell)}, the chip at ${shown("v_chip", numbers.v_chip)}.`,
    }));
  }

  // Python that gives the same numbers

  function python({ circuit, wanted, numbers }) {
    const { receptor: name, codes } = state;
    const typed = (slider) => `${state[slider]} ${DATA.sliders[slider].typed}`.trim();
    const own = Object.entries(DATA.receptors[name].sliders)
      .filter(([key, value]) => state[key] !== value)
      .map(([key]) => `${key}=${typed(key)}`);
    const units = ["nA", "umolar"];
    if (own.some((each) => each.includes("second"))) units.push("second");
    const [low, high] = circuit.vdd;
    const beyond = wanted < low || wanted > high;
    let supply = "vdd_of(circuit, gain)";
    if (state.vdd !== FOLLOW) supply = typed("vdd");
    else if (beyond) supply = `${numbers.vdd} * volt  # the nearest end: the gain is out of reach`;
    if (supply.includes("* volt")) units.push("volt");
    const shelf = `library["${name}"]`;
    return [
      ...(own.length ? ["from dataclasses import replace", ""] : []),
      `from brian2 import ${units.sort().join(", ")}`,
      "from neuromod import Population, simulate",
      `from neuromod.chip.conversion import gain_of${supply.startsWith("vdd_of") ? ", vdd_of" : ""}`,
      "from neuromod.models import GainLIF, circuits, library",
      "from neuromod.protocols import BioVsCircuit",
      "",
      `receptor = ${own.length ? `replace(${shelf}, ${own.join(", ")})` : shelf}`,
      `gain = ${state.trained_gain} * float(receptor.gain(${typed("conc")}))`,
      `rate = GainLIF(receptors=(receptor,)).rate(${typed("I")}, gain)`,
      `circuit = circuits["${state.circuit}"]`,
      `vdd = ${supply}`,
      "print(gain, rate, receptor.ec50, receptor.hill_slope)",
      "print(vdd, gain_of(circuit, vdd), circuit.unit_current(vdd))",
      "",
      `comparison = BioVsCircuit(circuit=circuit, codes=(${codes.join(", ")}), gain=1)`,
      'cell = Population("cell", comparison.bio, 1, {"trained_gain": gain})',
      'chip = Population("chip", circuit, 1, {"vdd": vdd})',
      "sides = comparison.twins(cell, chip, (), comparison.duration)",
      '(cell_spikes,) = simulate(sides["bio"], "cython").spike_trains("cell")',
      '(chip_spikes,) = simulate(sides["circuit"], "cython").spike_trains("chip")',
      "print(len(cell_spikes), len(chip_spikes))",
      "",
    ].join("\n");
  }

  // Address

  function address() {
    const words = { ...state, codes: state.codes.join(",") };
    return Object.entries(words).map(([key, value]) => `${key}=${value}`).join("&");
  }

  function restore(fragment) {
    const problems = [];
    state = start();
    const given = new URLSearchParams(fragment);
    for (const [name, shelf] of [["receptor", DATA.receptors], ["circuit", DATA.circuits]]) {
      if (!given.has(name)) continue;
      if (Object.hasOwn(shelf, given.get(name))) choose(name, given.get(name));
      else problems.push(`There is no ${name} ${given.get(name)}: ${state[name]} is shown.`);
    }
    for (const [name, text] of given) {
      if (name === "codes") {
        const codes = text.split(",").map(Number);
        if (codes.length === state.codes.length && codes.every(allowedCode)) state.codes = codes;
        else problems.push(`codes=${text} are not ${state.codes.length} whole numbers of size ${DATA.comparison.code_max} at most.`);
      } else if (name === "vdd" && text === FOLLOW) {
        state.vdd = FOLLOW;
      } else if (Object.hasOwn(DATA.sliders, name)) {
        if (text.trim() && allowed(name, Number(text))) state[name] = Number(text);
        else problems.push(`${name}=${text} is out of range: ${inWords(name)} was expected.`);
      } else if (name !== "receptor" && name !== "circuit") {
        problems.push(`The explorer has no ${name}.`);
      }
    }
    remark("address", problems.join(" "));
  }

  const allowedCode = (code) => Number.isInteger(code) && Math.abs(code) <= DATA.comparison.code_max;

  function choose(name, value) {
    state[name] = value;
    if (name === "receptor") Object.assign(state, DATA.receptors[value].sliders);
    else if (state.vdd !== FOLLOW) state.vdd = clamp(state.vdd, ...DATA.circuits[value].vdd);
  }

  function change(values) {
    Object.assign(state, values);
    remark("address", "");
    remark("copied", "");
    update();
    history.replaceState(null, "", `#${address()}`);
  }

  // Controls

  const controls = {};

  function addSlider(name, parent) {
    const { label, meaning, unit, log, zero, step } = DATA.sliders[name];
    const id = `explorer-${name}`;
    const slider = html("input", { type: "range", id, title: meaning });
    const number = html("input", { type: "number", step: "any", "aria-label": labelled(label, unit), title: meaning });
    parent.append(html("div", { class: "control" }, html("label", { for: id, title: meaning }, label), slider,
      html("span", { class: "typed" }, number, html("span", { class: "unit" }, unit))));
    const lowest = () => Math.log10(range(name).low) - (zero ? 0.1 : 0);
    slider.addEventListener("input", () => {
      const at = Number(slider.value);
      let value = log ? Number((10 ** at).toPrecision(3)) : at;
      if (zero && at < Math.log10(range(name).low) - 0.01) value = 0;
      else value = clamp(value, range(name).low, range(name).high);
      change({ [name]: value });
    });
    number.addEventListener("input", () => {
      const value = number.value.trim() ? Number(number.value) : NaN;
      const fits = allowed(name, value);
      number.setCustomValidity(fits ? "" : `${inWords(name)} was expected.`);
      if (fits) change({ [name]: value });
      else number.reportValidity();
    });
    number.addEventListener("blur", () => {
      number.setCustomValidity("");
      update();
    });
    controls[name] = (value) => {
      const { low, high } = range(name);
      slider.min = log ? lowest() : low;
      slider.max = log ? Math.log10(high) : high;
      slider.step = log ? 0.01 : step;
      slider.value = log ? (value > 0 ? Math.log10(value) : lowest()) : value;
      slider.setAttribute("aria-valuetext", withUnit(format(value), unit));
      // What follows from other numbers is shown to as many digits as matter.
      const digits = state[name] === FOLLOW ? 5 : 15;
      if (document.activeElement !== number) number.value = Number(value.toPrecision(digits));
    };
  }

  function addCode(k, parent) {
    const most = DATA.comparison.code_max;
    const id = `explorer-code-${k}`;
    const slider = html("input", { type: "range", id, min: -most, max: most, step: 1 });
    const value = html("output", { for: id });
    parent.append(html("div", { class: "control" }, html("label", { for: id }, `input ${k + 1}`), slider, value));
    slider.addEventListener("input", () => change({ codes: state.codes.with(k, Number(slider.value)) }));
    controls[`code ${k}`] = () => {
      slider.value = state.codes[k];
      value.textContent = String(state.codes[k]).replace("-", "−");
    };
  }

  function addChoice(name, shelf) {
    const select = find(`[data-choice="${name}"]`);
    select.append(...Object.keys(shelf).map((each) => html("option", { value: each }, each)));
    select.addEventListener("change", () => {
      choose(name, select.value);
      change({});
    });
    controls[name] = (value) => (select.value = value);
  }

  function addNumbers(list) {
    const names = Object.keys(DATA.numbers).filter((name) => DATA.numbers[name].card === list.dataset.numbers);
    list.append(html("dl", { class: "numbers" }, ...names.map((name) =>
      html("div", {}, html("dt", {}, DATA.numbers[name].label), html("dd", {}, html("data", { "data-number": name }))))));
  }

  function sourcesTable(title, rows) {
    const cells = (row) => ["name", "value", "meaning", "source"].map((key) => html("td", {}, row[key]));
    const heads = ["parameter", "value", "meaning", "source"].map((head) => html("th", { scope: "col" }, head));
    return html("div", { class: "table-wrapper" }, html("table", {}, html("caption", {}, title),
      html("thead", {}, html("tr", {}, ...heads)),
      html("tbody", {}, ...rows.map((row) => html("tr", row.calibrated ? { class: "calibrated" } : {}, ...cells(row))))));
  }

  const calibrated = (rows) => {
    const found = rows.filter((row) => row.calibrated).map((row) => `${row.name} = ${row.value}`);
    return found.length ? `Calibrated here: ${found.join(", ")}.` : "Nothing is calibrated here: the table below has the sources.";
  };

  // Show the state

  function update() {
    const found = results();
    const { numbers, circuit, wanted } = found;
    for (const name of Object.keys(DATA.sliders)) {
      controls[name](name === "vdd" ? numbers.vdd : state[name]);
    }
    for (const name of ["receptor", "circuit"]) controls[name](state[name]);
    state.codes.forEach((_, k) => controls[`code ${k}`]());
    find("#explorer-follow").checked = state.vdd === FOLLOW;
    for (const element of root.querySelectorAll("[data-number]")) {
      const { si, unit } = DATA.numbers[element.dataset.number];
      const value = numbers[element.dataset.number] / si;
      element.value = String(value);
      element.textContent = withUnit(format(value), unit);
    }
    const [low, high] = circuit.vdd;
    const reach = circuit.vdd.map((vdd) => format(ClosedForms.gainOf(circuit, vdd))).join(" to ");
    const beyond = state.vdd === FOLLOW && (wanted < low || wanted > high);
    remark("reach", beyond ? `The gain is out of the supply's reach, ${reach}: VDD stays at the end.` : "");
    const ends = [Math.min, Math.max].map((of) => circuit.v_rest + found.shares[1].reduce((a, b) => of(a, b)) *
      (circuit.v_th - circuit.v_rest));
    remark("rails", ends[0] < 0 || ends[1] > numbers.vdd
      ? `The chip's membrane goes from ${shown("vdd", ends[0])} to ${shown("vdd", ends[1])}: ideal sources ` +
        "push beyond ground and supply, where transistors would stop." : "");
    remark("law", lawName(circuit.law));
    remark("ligand", DATA.receptors[state.receptor].ligand);
    remark("calibrated-receptor", calibrated(DATA.receptors[state.receptor].told));
    remark("calibrated-cell", calibrated(DATA.cell.told));
    remark("calibrated-circuit", `${calibrated(circuit.told)} Dashed: ${lawName(found.other)}.`);
    remark("calibrated-comparison", calibrated(circuit.told));
    drawDose(found);
    drawRate(found);
    drawMirror(found);
    drawMembranes(found);
    find("[data-python]").textContent = python(found);
    showSources();
  }

  let sourcesOf = "";

  function showSources() {
    const { receptor, circuit } = state;
    if (sourcesOf === `${receptor} ${circuit}`) return;
    sourcesOf = `${receptor} ${circuit}`;
    find("[data-sources]").replaceChildren(
      sourcesTable(`Receptor ${receptor}`, DATA.receptors[receptor].told),
      sourcesTable("Cell of the f-I curve", DATA.cell.told),
      sourcesTable(`Circuit ${circuit}`, DATA.circuits[circuit].told),
      sourcesTable("Cell of the membranes", DATA.comparison.cell.told),
      sourcesTable("Input of the membranes", DATA.comparison.told),
    );
  }

  async function copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      remark("copied", `${what} copied.`);
    } catch {
      remark("copied", "This browser does not let pages copy: select the text instead.");
    }
  }

  for (const parent of root.querySelectorAll("[data-numbers]")) addNumbers(parent);
  for (const parent of root.querySelectorAll("[data-sliders]")) {
    for (const name of parent.dataset.sliders.split(" ")) addSlider(name, parent);
  }
  DATA.comparison.codes.forEach((_, k) => addCode(k, find("[data-codes]")));
  addChoice("receptor", DATA.receptors);
  addChoice("circuit", DATA.circuits);
  remark("step", DATA.comparison.step);
  remark("whole", DATA.comparison.whole);
  find("#explorer-follow").addEventListener("change", (event) =>
    change({ vdd: event.target.checked ? FOLLOW : results().numbers.vdd }));
  const actions = {
    copy: () => copy(find("[data-python]").textContent, "Python"),
    link: () => copy(`${location.href.split("#")[0]}#${address()}`, "Link"),
    reset: () => {
      state = start();
      change({});
      history.replaceState(null, "", location.href.split("#")[0]);
    },
  };
  for (const [name, action] of Object.entries(actions)) {
    find(`[data-action="${name}"]`).addEventListener("click", action);
  }
  // Other fragments are places on the page.
  const read = () => {
    if (!location.hash.includes("=")) return;
    restore(location.hash.slice(1));
    update();
  };
  addEventListener("hashchange", read);
  addEventListener("beforeprint", () => (find("details").open = true));
  new ResizeObserver(() => {
    measure();
    update();
  }).observe(root);
  measure();
  update();
  read();
})();
