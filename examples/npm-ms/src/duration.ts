// What `ms("2 days")` gives, for units that the compiler knows.

const DAY = 86_400_000;
const units = { second: 1_000, minute: 60_000, hour: 3_600_000, day: DAY, week: 7 * DAY } as const;

type Unit = keyof typeof units;
type Plural = `${Unit}s`;
export type Duration = `${number} ${Unit | Plural}`;

export function milliseconds(duration: Duration): number {
  const [count, unit] = duration.split(" ") as [string, Unit | Plural];
  return Number(count) * units[unit.replace(/s$/, "") as Unit];
}
