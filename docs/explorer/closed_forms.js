// The package's closed forms, in base units. Each function names what it repeats; the test
// tests/test_explorer.py compares every one with the package in a browser.
"use strict";

const ClosedForms = (() => {
  // neuromod.models.Receptor: steady states

  const dissociation = (receptor) => receptor.k_off / receptor.k_on;

  function occupancy(receptor, conc) {
    const bound = conc / dissociation(receptor);
    return bound / (1 + bound);
  }

  function activation(receptor, conc) {
    const messenger = occupancy(receptor, conc) ** receptor.n;
    return messenger / (messenger + receptor.K ** receptor.n);
  }

  const receptorGain = (receptor, conc) =>
    1 + (receptor.gain_max - 1) * activation(receptor, conc);

  // Activation and occupancy of half the greatest steady effect.
  function half({ n, K }) {
    const activated = 1 / (1 + K ** n) / 2;
    return [activated, K * (activated / (1 - activated)) ** (1 / n)];
  }

  function ec50(receptor) {
    const [, occupied] = half(receptor);
    return (dissociation(receptor) * occupied) / (1 - occupied);
  }

  function hillSlope(receptor) {
    const [activated, occupied] = half(receptor);
    return 2 * receptor.n * (1 - activated) * (1 - occupied);
  }

  // neuromod.models.GainLIF.rate

  const rheobase = (cell, gain) => (cell.v_th - cell.v_rest) / (cell.R * gain);

  function rate(cell, current, gain) {
    const drive = (cell.R * gain * current) / (cell.v_th - cell.v_rest);
    if (!(drive > 1)) return 0;
    const fromReset = (cell.v_reset - cell.v_rest) / (cell.v_th - cell.v_rest);
    return 1 / (cell.t_ref + cell.tau_m * Math.log((drive - fromReset) / (drive - 1)));
  }

  // neuromod.models.mirror.Mirror, whose copies are ideal sources

  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const logistic = (x) => Math.exp(-softplus(-x));
  const specificCurrent = (mirror) => (mirror.beta / 2) * mirror.v_ekv ** 2;

  function saturated(mirror, law, overdrive) {
    if (law === "square") return (mirror.beta / 2) * Math.max(overdrive, 0) ** 2;
    return specificCurrent(mirror) * softplus(overdrive / mirror.v_ekv) ** 2;
  }

  function conductance(mirror, law, overdrive) {
    if (law === "square") return mirror.beta * Math.max(overdrive, 0);
    const x = overdrive / mirror.v_ekv;
    return (specificCurrent(mirror) * 2 * softplus(x) * logistic(x)) / mirror.v_ekv;
  }

  // Gate voltage above threshold. EKV's has no closed form: Newton's method, as in the package.
  function overdrive(mirror, law, vdd) {
    if (law === "square") {
      const room = Math.max(vdd - mirror.vto, 0);
      return (2 * room) / (1 + Math.sqrt(1 + 2 * mirror.beta * mirror.R_S * room));
    }
    const room = vdd - mirror.vto;
    let x = room;
    for (let steps = 0; steps < 200; steps++) {
      const over = x + mirror.R_S * saturated(mirror, law, x) - room;
      const step = over / (1 + mirror.R_S * conductance(mirror, law, x));
      x -= step;
      if (Math.abs(step) <= 1e-15 * (1 + Math.abs(x))) break;
    }
    return x;
  }

  const unitCurrent = (mirror, law, vdd) => saturated(mirror, law, overdrive(mirror, law, vdd));

  function transconductance(mirror, law, vdd) {
    const slope = conductance(mirror, law, overdrive(mirror, law, vdd));
    return slope / (1 + mirror.R_S * slope);
  }

  // The exact inverse of unitCurrent.
  function vddFor(mirror, law, current) {
    const gate =
      law === "square"
        ? Math.sqrt((2 * current) / mirror.beta)
        : mirror.v_ekv * Math.log(Math.expm1(Math.sqrt(current / specificCurrent(mirror))));
    return mirror.vto + gate + mirror.R_S * current;
  }

  // neuromod.chip.conversion: gains as supplies

  const unitAtReference = (circuit) => unitCurrent(circuit, circuit.law, circuit.vdd_reference);

  const gainOf = (circuit, vdd) =>
    unitCurrent(circuit, circuit.law, vdd) / unitAtReference(circuit);

  function vddOf(circuit, gain) {
    for (const end of circuit.vdd) {
      const ofEnd = gainOf(circuit, end);
      if (Math.abs(gain - ofEnd) < 1e-6 * ofEnd) return end;
    }
    return vddFor(circuit, circuit.law, gain * unitAtReference(circuit));
  }

  // neuromod.models.CircuitNeuron.step: what one bit does to a membrane at rest
  const step = (circuit, vdd) =>
    -unitCurrent(circuit, circuit.law, vdd) *
    circuit.R_leak *
    Math.expm1(-circuit.t_pulse / (circuit.R_leak * circuit.C));

  // Membranes, as protocol bio-vs-circuit drives them. Between edges of pulses the input is
  // constant, so that a membrane is a piece of an exponential: no time step is taken.

  // Edges of all pulses in order, those of one time together: change of drive, change of pulses.
  function edgesOf({ steps, neurons, codes }, width) {
    const edges = new Map();
    const add = (at, code, on) => {
      const edge = edges.get(at) ?? { code: 0, on: 0 };
      edges.set(at, { code: edge.code + code, on: edge.on + on });
    };
    steps.forEach((at, k) => {
      add(at, codes[neurons[k]], 1);
      add(at + width, -codes[neurons[k]], -1);
    });
    return [...edges].sort(([a], [b]) => a - b);
  }

  // Pieces start at `start` and go from `from` towards `to` with time constant `tau`. Where the
  // membrane jumps, its value is that before, as a recording has it.
  function valueAt({ pieces, tau }, time) {
    let low = 0;
    let high = pieces.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (pieces[middle].start < time) low = middle;
      else high = middle - 1;
    }
    const { start, from, to } = pieces[low];
    return to + (from - to) * Math.exp(-(time - start) / tau);
  }

  // Fires as soon as it crosses its threshold. Volts from rest, biological time.
  function cellMembrane(cell, circuit, input, gain) {
    const { v_rest, tau_m: tau } = cell;
    const threshold = cell.v_th - v_rest;
    const reset = cell.v_reset - v_rest;
    const dt = input.dt * input.time_scale;
    const width = Math.round(circuit.t_pulse / input.dt);
    // neuromod.chip.twins.unit_weight and firing_event, times R
    const share = step(circuit, circuit.vdd_reference) / (circuit.v_th - circuit.v_rest);
    const unit = (gain * share * threshold) / -Math.expm1((-width * dt) / tau);
    const end = input.duration * input.time_scale;
    const [pieces, spikes] = [[], []];
    let [time, u, code, release] = [0, 0, 0, 0];
    const advance = (until) => {
      while (time < until) {
        if (time < release) {
          pieces.push({ start: time, from: u, to: u });
          time = Math.min(release, until);
          continue;
        }
        const to = code * unit;
        pieces.push({ start: time, from: u, to });
        const crossing = to > threshold ? time + tau * Math.log((to - u) / (to - threshold)) : end;
        if (crossing < until) {
          spikes.push(crossing);
          [time, u, release] = [crossing, reset, crossing + cell.t_ref];
        } else {
          u = to + (u - to) * Math.exp(-(until - time) / tau);
          time = until;
        }
      }
    };
    for (const [at, edge] of edgesOf(input, width)) {
      advance(Math.min(at * dt, end));
      code += edge.code;
    }
    advance(end);
    return { pieces, spikes, tau };
  }

  // Fires where the clock of its comparator, the NOR of all pulses and its own spike, rises.
  // Volts from rest, chip time.
  function circuitMembrane(circuit, input, vdd) {
    const { dt } = input;
    const threshold = circuit.v_th - circuit.v_rest;
    const tau = circuit.R_leak * circuit.C;
    const unit = unitCurrent(circuit, circuit.law, vdd) * circuit.R_leak;
    const width = Math.round(circuit.t_pulse / dt);
    const held = Math.round(circuit.t_spike / dt);
    const end = Math.round(input.duration / dt);
    const edges = edgesOf(input, width);
    const [pieces, spikes] = [[], []];
    // Times are whole numbers of `dt`, so that edges that coincide do so exactly.
    let [time, u, code, on, release, clock, next] = [0, 0, 0, 0, 0, true, 0];
    while (time < end) {
      for (; next < edges.length && edges[next][0] === time; next++) {
        code += edges[next][1].code;
        on += edges[next][1].on;
      }
      const nor = on === 0 && time >= release;
      const decides = nor && !clock;
      clock = nor;
      if (decides && u >= threshold) {
        spikes.push(time * dt);
        [u, release, clock] = [0, time + held, false];
      }
      let until = Math.min(end, edges[next]?.[0] ?? end);
      if (time < release) until = Math.min(until, release);
      const to = time < release ? u : code * unit;
      pieces.push({ start: time * dt, from: u, to });
      u = to + (u - to) * Math.exp((-(until - time) * dt) / tau);
      time = until;
    }
    return { pieces, spikes, tau };
  }

  // Shares of the way from rest to threshold at the starts of all time steps.
  function shares(membrane, model, interval, count) {
    const { pieces, tau } = membrane;
    const values = new Float64Array(count);
    let piece = 0;
    for (let k = 0; k < count; k++) {
      const time = k * interval;
      while (piece + 1 < pieces.length && pieces[piece + 1].start < time) piece++;
      const { start, from, to } = pieces[piece];
      values[k] = (to + (from - to) * Math.exp(-(time - start) / tau)) / (model.v_th - model.v_rest);
    }
    return values;
  }

  // neuromod.analysis.spike_trains.rmse, of what lies below threshold
  function rmseBelow(a, b) {
    let [sum, count] = [0, 0];
    for (let k = 0; k < a.length; k++) {
      if (a[k] < 1 && b[k] < 1) {
        sum += (a[k] - b[k]) ** 2;
        count++;
      }
    }
    return Math.sqrt(sum / count);
  }

  // neuromod.analysis.spike_trains.coincidence_factor
  function coincidenceFactor(data, model, window, duration) {
    if (!data.length && !model.length) return 1;
    const byChance = (2 * window * model.length) / duration;
    if (byChance >= 1) return NaN;
    let [matched, i, k] = [0, 0, 0];
    while (i < data.length && k < model.length) {
      const gap = model[k] - data[i];
      if (Math.abs(gap) <= window) [matched, i, k] = [matched + 1, i + 1, k + 1];
      else if (gap > 0) i++;
      else k++;
    }
    const excess = matched - byChance * data.length;
    return excess / (0.5 * (data.length + model.length)) / (1 - byChance);
  }

  return {
    dissociation, occupancy, activation, receptorGain, ec50, hillSlope,
    rheobase, rate,
    unitCurrent, transconductance, vddFor, gainOf, vddOf, step,
    cellMembrane, circuitMembrane, valueAt, shares, rmseBelow, coincidenceFactor,
  };
})();
