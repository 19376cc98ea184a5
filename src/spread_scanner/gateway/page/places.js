// Where an exchange shows an instrument to a person, by the exchange's own spelling. Links that one
// follows; the page itself asks none of them. And what sources are called.

const PLACES = {
  "binance-spot": (name) => `https://www.binance.com/en/trade/${name}?type=spot`,
  "binance-futures": (name) => `https://www.binance.com/en/futures/${name}`,
  "bybit-spot": (_, base, quote) => `https://www.bybit.com/en/trade/spot/${base}/${quote}`,
  "bybit-futures": (name) => `https://www.bybit.com/trade/usdt/${name}`,
  "okx-spot": (name) => `https://www.okx.com/trade-spot/${name.toLowerCase()}`,
  "okx-futures": (name) => `https://www.okx.com/trade-swap/${name.toLowerCase()}`,
  "mexc-spot": (_, base, quote) => `https://www.mexc.com/exchange/${base}_${quote}`,
  "mexc-futures": (name) => `https://www.mexc.com/futures/${name}`,
};

// Of a price of GET /v1/prices; null where no page is known.
export function placeOf({ source, pool_id: pool, pair }) {
  return PLACES[source]?.(encodeURIComponent(pool.slice(source.length + 1)), ...pair.split("/").map(encodeURIComponent)) ?? null;
}

// The sources of a pair's legs. Pools have one market, and a source that is called as they are.
export function legsOf([buys, sells]) {
  const spot = `${buys}-spot`;
  return [spot in PLACES ? spot : buys, `${sells}-futures`];
}
