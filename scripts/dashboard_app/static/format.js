// Numbers, money and times as people read them. The page is in English; times are in the reader's zone.

const LOCALE = "en-US";
const DASH = "–";
const digitsOf = new Map();

/** Tells how many digits the minor unit of each currency has (ISO 4217). */
export function setCurrencies(currencies) {
  for (const { code, digits } of currencies) digitsOf.set(code, digits);
}

const known = (value) => typeof value === "number" && Number.isFinite(value);
const fixed = (value, digits) => value.toLocaleString(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** An amount in minor units: 123456 in USD is 1,234.56. */
export function money(minor, code) {
  if (!known(minor)) return DASH;
  const digits = digitsOf.get(code) ?? 2;
  return fixed(minor / 10 ** digits, digits);
}

/** The same, in few characters: 12,345,678 minor units of USD are 123k. For axes only. */
export function shortMoney(minor, code) {
  if (!known(minor)) return DASH;
  return (minor / 10 ** (digitsOf.get(code) ?? 2)).toLocaleString(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
}

export const number = (value, digits = 0) => (known(value) ? fixed(value, digits) : DASH);

/** Two digits below ten, none above a hundred. */
export function rate(value) {
  if (!known(value)) return DASH;
  return fixed(value, value === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

export const percent = (share, digits = 1) => (known(share) ? `${fixed(share * 100, digits)} %` : DASH);

/** With its sign. */
export const change = (share) => (known(share) ? `${share >= 0 ? "+" : "−"}${fixed(Math.abs(share) * 100, 1)} %` : DASH);

export function clock(ms, seconds = true) {
  if (!known(ms)) return DASH;
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Date(ms).toLocaleTimeString(LOCALE, seconds ? { ...options, second: "2-digit" } : options);
}

/** How long: 840 ms, 2.1 s, 45 s, 3 min, 2 h 5 min, 3 d. */
export function duration(ms) {
  if (!known(ms)) return DASH;
  const s = Math.max(0, ms) / 1000;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 90) return `${Math.round(s)} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.floor(hours / 24)} d`;
}

/** How long, in whole seconds while it is short: for what is counted up every second. */
export const age = (ms) => (known(ms) && ms < 90_000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : duration(ms));

export const span = (window) => (window ? `${clock(window.start_ms)} – ${clock(window.end_ms)}` : "");
