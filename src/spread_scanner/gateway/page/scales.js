// What a chart's axes say: pure.

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400];

const LEAST_STEP = 0.1; // what stands at an axis has one digit behind the point

// Whole steps of values between two, at most so many.
export function valueTicks(low, high, most) {
  if (!(high > low)) return [];
  const least = Math.max(LEAST_STEP, (high - low) / most);
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= least * (1 - 1e-9));
  return multiples(low, high, step);
}

// Whole steps of time, which begin at whole minutes and hours.
export function timeTicks(low, high, most) {
  const least = (high - low) / most;
  const step = STEPS_S.find((one) => one >= least) ?? 86_400 * Math.ceil(least / 86_400);
  return multiples(low, high, step);
}

function multiples(low, high, step) {
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(n * step);
  return found;
}

// Of the points of all lines within a time; zero is always seen.
export function boundsOf(lines, from, to) {
  let [low, high] = [0, 0];
  for (const { points } of lines) {
    for (const [s, value] of points) {
      if (value === null || s < from || s > to) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  const room = (high - low || 1) * 0.06;
  return [low - room, high + room];
}

// Of bands, [begins, ends (null: not yet), ...], the one that a moment is in, or next to by so much;
// of several the one that began last.
export function bandAt(bands, s, beside) {
  const found = bands.filter(([begins, ends]) => begins - beside <= s && s <= (ends ?? Infinity) + beside);
  return found.reduce((last, one) => (last && last[0] > one[0] ? last : one), null);
}

// The point of a line that is nearest to a moment; points are in order of time.
export function nearest(points, s) {
  let [low, high] = [0, points.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= s) low = middle;
    else high = middle;
  }
  return points.length && Math.abs(points[high][0] - s) < Math.abs(points[low][0] - s) ? points[high] : points[low];
}
