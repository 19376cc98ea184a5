// Histograms of a Prometheus text: pure.

const LINE = /^spread_(\w+)_seconds_bucket\{(.*)\} (\S+)$/;

// By process: [{name, counts: [[upTo s, how many], ...]}], without those that counted nothing.
export function latenciesOf(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels, count] = LINE.exec(line) ?? [];
    if (!name) continue;
    const of = Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]));
    const mine = found.get(of.process) ?? found.set(of.process, new Map()).get(of.process);
    const below = mine.get(name) ?? mine.set(name, []).get(name);
    below.push([of.le === "+Inf" ? Infinity : Number(of.le), Number(count)]);
  }
  const told = new Map();
  for (const [process, mine] of found) {
    const counted = [...mine].filter(([, below]) => below.at(-1)[1] > 0);
    if (counted.length) told.set(process, counted.map(([name, below]) => ({ name: name.replaceAll("_", " "), counts: apart(below) })));
  }
  return told;
}

const apart = (below) => below.map(([upTo, count], n) => [upTo, count - (below[n - 1]?.[1] ?? 0)]);

// The bound under which a share of all lie.
export function quantile(counts, share) {
  const wanted = share * counts.reduce((sum, [, count]) => sum + count, 0);
  let sum = 0;
  return counts.find(([, count]) => (sum += count) >= wanted)?.[0] ?? Infinity;
}
