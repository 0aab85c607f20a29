// Axes: from values to pixels, with round numbers beside them.

/** Round numbers within [low, high], about `count` of them. */
function niceTicks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) ticks.push(i * step || 0); // and no −0
  return ticks;
}

/** The range of some values, with a margin as a share of it; a single value gets a range around it. */
function ranged(values, margin = 0.06) {
  let low = Infinity;
  let high = -Infinity;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  if (!Number.isFinite(low)) return [0, 1];
  const span = high - low || Math.abs(high) * 0.1 || 1;
  const floor = low >= 0 ? 0 : -Infinity;
  return [Math.max(low - margin * span, floor), high + margin * span];
}

/** A linear scale onto pixels [from, to] whose ticks are written in one unit, which stands in `title`. */
function scale(objective, [low, high], from, to, count) {
  const largest = Math.max(Math.abs(low), Math.abs(high));
  let [factor, unit] = [1, objective.unit || ''];
  if (objective.unit === '%') [factor, unit] = [0.01, '%'];
  else if (objective.unit === 'bytes' && largest >= 1e6) [factor, unit] = [1e6, 'MB'];
  else if (largest >= 1e9) [factor, unit] = [1e9, `billions${unit && ` of ${unit}`}`];
  else if (largest >= 1e6) [factor, unit] = [1e6, `millions${unit && ` of ${unit}`}`];
  else if (largest >= 1e4) [factor, unit] = [1e3, `thousands${unit && ` of ${unit}`}`];
  const ticks = niceTicks(low / factor, high / factor, count);
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
  let places = 0;
  while (places < 8 && Math.abs(step * 10 ** places - Math.round(step * 10 ** places)) > 1e-6 * step * 10 ** places) places += 1;
  const map = (v) => from + ((v - low) / (high - low)) * (to - from);
  return {
    map,
    low,
    high,
    ticks: ticks.map((t) => ({at: map(t * factor), text: t.toLocaleString('en', {minimumFractionDigits: places, maximumFractionDigits: places})})),
    title: unit ? `${objective.label}, ${unit}` : objective.label,
  };
}
