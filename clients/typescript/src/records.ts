// Written by `python -m spread_scanner.cli.reference`; edit the source instead.

export interface Arbitrage {
  pool_a_id: string;
  pool_a_dex: string;
  pool_a_price: number;
  pool_b_id: string;
  pool_b_dex: string;
  pool_b_price: number;
  pair: string;
  price_diff_pct: number;
  estimated_profit_pct: number;
  size_base: number;
  profit_quote: number;
  age_ms: number;
}

export interface ArbitrageWanted {
  threshold_pct: number;
}

export interface Arbitrages {
  opportunities: Arbitrage[];
  count: number;
}

export interface BarsAnalysis {
  bar_s: number;
  bars: number;
  closed: Indicators;
  running: Indicators;
}

export interface BasisAnalysis {
  now_bps: number | null;
  weighted: Weighted[];
  quantiles_bps: Record<string, number | null>;
  reverts_s: number | null;
}

export interface BlockedPair {
  direction: string;
  symbol: string;
  gross_bps: number;
  age_s: number;
}

export interface CellAnalysis {
  source: string;
  usable: boolean;
  sample_age_s: number | null;
  mid: number | null;
  bars: BarsAnalysis[];
}

export interface ConnectionView {
  source: string;
  number: number;
  provider: string;
  url: string;
  carries: string;
  state: string;
  symbols: number;
  open_s: number | null;
  heard_ms: number | null;
  messages_per_s: number;
  messages: number;
  quotes: number;
  skips: number;
  reconnects: number;
  last_end: string;
  ban_left_s: number | null;
  ban_status: number | null;
  exchange_to_recv_p50_ms: number | null;
  exchange_to_recv_p99_ms: number | null;
  recv_to_cell_p50_us: number | null;
  recv_to_cell_p99_us: number | null;
  counters: Record<string, number>;
}

export interface Consolidated {
  bids: SharedLevel[];
  asks: SharedLevel[];
}

export interface Cost {
  symbol: string;
  direction: string;
  spot_fee_bps: number;
  fut_fee_bps: number;
  fees_bps: number;
  carry_at_ask_bps: number;
  rate_known: boolean;
  costs_bps: number;
  close_at: string;
  enter_bps: number;
  exit_below_bps: number;
}

export interface CycleHop {
  pool: string;
  program: string;
  mint_in: string;
  amount_in: string;
  amount_out: string;
}

export interface CycleLook {
  after_slots: number;
  slot: number;
  paid_net_sol: number | null;
  best_net_sol: number | null;
  stands: boolean;
  why: string;
}

export interface CycleView {
  id: number;
  found_ns: number;
  slot: number;
  oldest_slot: number;
  hops: CycleHop[];
  profit_sol: number;
  cost_lamports: number;
  net_sol: number;
  score: number;
  oldest_leg_ms: number;
  depth_used: number;
  landing_model: number;
  priority_micro_lamports: number | null;
  priority_heard: boolean | null;
  one_slot: boolean | null;
  best_net_sol: number;
  last_slot: number;
  ended_ns: number | null;
  ended_slot: number | null;
  why_ended: string | null;
  looks: CycleLook[];
}

export interface Depth {
  size_base: number | null;
  size_quote: number | null;
  bounded: boolean;
  sizes: SizeNet[];
}

export interface DiscoveryWished {
  did: string;
  file: string;
}

export interface Disk {
  folder: string;
  database_bytes: number | null;
  wal_bytes: number | null;
  cycles_bytes: number | null;
  reports_bytes: number | null;
  logs_bytes: number | null;
  free_bytes: number | null;
  vacuuming: boolean;
  readers: LongReader[];
}

export interface Evaluation {
  direction: string;
  verdict: string;
  meaning: string;
  age_s: number;
  ts_engine: number;
  gross_bps: number;
  fees_bps: number;
  exit_bps: number | null;
  close_bps: number | null;
  usual_bps: number | null;
  parity_bps: number | null;
  learned: number;
  carry_bps: number;
  net_bps: number;
  enter_bps: number;
  size_base: number | null;
  lot_base: number;
  size_quote: number | null;
  size_quote_min: number;
  z: number | null;
  z_min: number | null;
  z_mean_bps: number | null;
  z_deviation_bps: number | null;
  spot_age_ns: number;
  fut_age_ns: number;
  skew_ns: number;
  spot_px: number;
  fut_px: number;
  spot_flags: string[];
  fut_flags: string[];
  notes: string[];
  alone: string[];
  count: number;
}

export interface Explanation {
  symbol: string;
  meaning: string;
  evaluations: Evaluation[];
  now: Spread[];
  standing: Standing[];
  quarantined: Quarantined[];
  blocked: BlockedPair[];
  funding: FundingView[];
}

export interface FollowUpView {
  record: "book";
  seq: number;
  kind: string;
  symbol: string;
  direction: string;
  ts_engine_ns: number;
  of_seq: number;
  enter_bps: number;
  close_bps: number | null;
  net_bps: number | null;
  size_base: number | null;
  size_quote: number | null;
  bounded: boolean;
  sizes: SizeNet[];
  spot_age_ms: number;
  fut_age_ms: number;
  notes: string[];
}

export interface FundingState {
  source: string;
  told: number;
  age_s: number;
  interval_h: number;
  late: boolean;
}

export interface FundingView {
  source: string;
  symbol: string;
  rate: number | null;
  cap: number | null;
  floor: number | null;
  interval_h: number | null;
  next_wall_ns: number | null;
  next_in_s: number | null;
  age_s: number | null;
  noted: boolean;
  unknown: string;
}

export interface InForce {
  process: string;
  settings: string;
  tables: number;
  refused: string;
}

export interface Indicators {
  rsi: number | null;
  ema: number | null;
  middle: number | null;
  upper: number | null;
  lower: number | null;
}

export interface LongReader {
  pid: number;
  command: string;
  held_s: number;
}

export interface OpportunityRow {
  id: number;
  symbol: string;
  direction: string;
  opened_ns: number;
  closed_ns: number | null;
  reason: string | null;
  entry_gross_bps: number;
  entry_net_bps: number;
  peak_net_bps: number;
  realised_bps: number | null;
  mark_bps: number | null;
  reentry_net_bps: number | null;
  exit_bps: number | null;
  entry_size_quote: number;
  depth_size_quote: number | null;
  entry_spot_age_ns: number;
  entry_fut_age_ns: number;
  signals: number;
  samples: number;
}

export interface Outcome {
  did: string;
  generation: number;
  answered_us: Record<string, number | null>;
  silent: string[];
  dead: string[];
  refused?: Record<string, string>;
  ok: boolean;
  warnings?: string[];
  standing?: Switched[];
  not_remembered: string;
  hindrances?: Record<string, string>;
  up: boolean;
}

export interface PairAnalysis {
  direction: string;
  usable: boolean;
  sample_age_s: number | null;
  usable_share: number | null;
  looked_minutes: number;
  minutes: number;
  entry: BasisAnalysis;
  exit: BasisAnalysis;
}

export interface PastShown {
  columns: string[];
  rows: unknown[][];
  more: boolean;
}

export interface PoolPrice {
  pool_id: string;
  dex_name: string;
  program: string;
  pair: string;
  price: number;
  base_reserve: number;
  quote_reserve: number;
  base_decimals: number;
  quote_decimals: number;
  fee: number | null;
  slot: number;
  base_reserve_raw?: string;
  quote_reserve_raw?: string;
  age_ms: number;
}

export interface PoolView {
  pool: string;
  program: string;
  symbol: string | null;
  mints: string[];
  decimals: number[];
  price: number | null;
  reserves: (number | null)[];
  liquidity: number | null;
  fee: number | null;
  priority_micro_lamports: number | null;
  priority_age_s: number | null;
  slot: number | null;
  published: number;
  told_age_s: number | null;
  renewed_age_s: number | null;
  fresh: boolean;
  why: string;
}

export interface Price {
  pool_id: string;
  dex_name: string;
  source: string;
  pair: string;
  price: number;
  bid_px: number;
  bid_sz: number;
  ask_px: number;
  ask_sz: number;
  base_reserve: number;
  quote_reserve: number;
  base_decimals: number;
  quote_decimals: number;
  ts_event_ns: number | null;
  ts_recv_ns: number;
  base_reserve_raw?: string;
  quote_reserve_raw?: string;
  age_ms: number;
}

export interface PriceLevel {
  px: number;
  sz: number;
}

export interface Problem {
  title: string;
  status: number;
  code: string;
  detail: string;
  type: string;
  instance: string;
}

export interface ProcessView {
  process: string;
  state: string;
  alive: boolean;
  healthy: boolean;
  starting: boolean;
  heartbeat_age_ms: number | null;
  age_s: number | null;
  pid: number | null;
  starts: number;
  generation: number;
  rates_per_s: Record<string, number>;
  drops: number;
  skips: number;
  symbols: number | null;
  good_symbols: number | null;
  p50_us: number | null;
  p99_us: number | null;
  message: string;
  version: string;
}

export interface Quarantined {
  direction: string;
  symbol: string;
  reason: string;
}

export interface Served {
  status: string;
  cached_pools: number;
  cached_pairs: string[];
  degraded: string[];
  switched: string[];
  version: string;
  namespace: string;
}

export interface SharedLevel {
  px: number;
  sz: number;
  source: string;
  with_fee_px: number | null;
  told_by_all: boolean;
}

export interface ShownBook {
  source: string;
  usable: boolean;
  why_not: string[];
  flags: string[];
  age_ms: number | null;
  update_id: number;
  bids_known: number;
  asks_known: number;
  bids: PriceLevel[];
  asks: PriceLevel[];
}

export interface SignalView {
  record: "signal";
  seq: number;
  kind: string;
  symbol: string;
  direction: string;
  ts_engine_ns: number;
  gross_bps: number;
  fees_bps: number;
  carry_bps: number;
  close_bps: number | null;
  usual_bps: number | null;
  parity_bps: number | null;
  net_bps: number;
  exit_bps: number | null;
  size_base: number;
  size_quote: number;
  spot_ask_px: number;
  fut_bid_px: number;
  spot_age_ms: number;
  fut_age_ms: number;
  notes: string[];
}

export interface SizeNet {
  size_quote: number;
  buy_px: number | null;
  sell_px: number | null;
  net_bps: number | null;
  too_thin: boolean;
}

export interface SourceLog {
  appended_seq: number;
  durable_seq: number;
  durable_age_ms: number;
}

export interface SourceView {
  source: string;
  process: string;
  enabled: boolean;
  alive: boolean;
  state: string;
  message: string;
  paused: boolean;
  wanted: number;
  quoted: number;
  usable: number;
  heartbeat_age_ms: number | null;
  log: SourceLog | null;
}

export interface Spread {
  symbol: string;
  direction: string;
  gross_bps: number | null;
  net_bps: number | null;
  enter_bps: number;
  exit_bps: number | null;
  close_bps: number | null;
  usual_bps: number | null;
  learned: number;
  size_quote: number | null;
  spot_ask_px: number | null;
  fut_bid_px: number | null;
  spot_age_ms: number | null;
  fut_age_ms: number | null;
  usable: boolean;
  implausible: boolean;
  notes: string[];
  fees_bps: number;
  carry_at_ask_bps: number;
  depth: Depth | null;
}

export interface SpreadColumns {
  ts_ns: number;
  version: number;
  generation: number;
  symbol: string[];
  direction: string[];
  usable: boolean[];
  implausible: boolean[];
  gross_bps: (number | null)[];
  net_bps: (number | null)[];
  enter_bps: (number | null)[];
  exit_bps: (number | null)[];
  close_bps: (number | null)[];
  usual_bps: (number | null)[];
  learned: (number | null)[];
  size_quote: (number | null)[];
  spot_ask_px: (number | null)[];
  fut_bid_px: (number | null)[];
  spot_age_ms: (number | null)[];
  fut_age_ms: (number | null)[];
  fees_bps: (number | null)[];
  carry_at_ask_bps: (number | null)[];
  z: (number | null)[];
}

export interface Standing {
  direction: string;
  meaning: string;
}

export interface StandingCondition {
  key: string;
  text: string;
  can_wait: boolean;
  deliberate: boolean;
}

export interface Status {
  namespace: string;
  version: string;
  ok: boolean;
  starting: string[];
  unwell: string[];
  learning: boolean;
  mixed: string[];
  conditions: StandingCondition[];
  in_force: InForce[];
  switches: Switches;
  blocked: BlockedPair[];
  disk: Disk;
  funding: FundingState[];
  clock_step_s: number;
  processes: ProcessView[];
  counters: Record<string, Record<string, number>>;
}

export interface Switched {
  kind: string;
  name: string;
  age_s: number | null;
  user: string;
  pid: number;
  command: string;
}

export interface Switches {
  killed: boolean;
  paused_processes: string[];
  paused_sources: string[];
  paused_directions: string[];
  paused_symbols: string[];
  standing: Switched[];
}

export interface SymbolAnalysis {
  symbol: string;
  state: string;
  minutes: number;
  minutes_wanted: number;
  pairs: PairAnalysis[];
  cells: CellAnalysis[];
}

export interface SymbolBooks {
  symbol: string;
  books: ShownBook[];
  missing: string[];
  consolidated: Consolidated | null;
}

export interface TablesView {
  generation: number;
  age_s: number;
  judged_age_s: number;
  folder: string;
  symbols: number;
  pairs: number;
  instruments: Record<string, number>;
  directions: Record<string, number>;
  quarantined: Quarantined[];
  sources: Record<string, string>;
  warnings: string[];
  added: string[];
}

export interface Weighted {
  half_life_s: number;
  mean_bps: number | null;
  deviation_bps: number | null;
  z: number | null;
  known: boolean;
}
