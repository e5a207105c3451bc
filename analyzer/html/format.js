// SPDX-License-Identifier: MIT
// format.js: numbers, times, addresses and names as people read them.

const MIB = 1048576;

const format = {
	// Thousands with commas.
	count: d3.format(",d"),

	// Bytes as MiB, as `faultline report` does; small amounts as KiB.
	bytes(value) {
		if (value !== 0 && Math.abs(value) < MIB / 100)
			return d3.format(",.1~f")(value / 1024) + " KiB";
		return d3.format(",.2f")(value / MIB) + " MiB";
	},

	measure: (measure, value) => measure === "bytes" ? format.bytes(value)
		: format.count(value) + (value === 1 ? " fault" : " faults"),

	share(part, whole) {
		const percent = whole > 0 ? 100 * part / whole : 0;
		return (percent > 0 && percent < 0.1 ? "<0.1" : d3.format(".1f")(percent)) + " %";
	},

	address: page => "0x" + page.toString(16),

	// The last part of a path.
	base: path => path.slice(path.lastIndexOf("/") + 1) || path,

	// A function without what stands in its parentheses.
	short(name) {
		let text = name.replace(/\((anonymous namespace)\)/g, "{$1}");
		const open = text.indexOf("(");
		if (open > 0 && !/operator$/.test(text.slice(0, open)))
			text = text.slice(0, open);
		return text.replace(/\{(anonymous namespace)\}/g, "($1)");
	},

	// Long text loses its middle.
	fit: (text, limit) => text.length <= limit ? text
		: limit < 4 ? text.slice(0, Math.max(0, limit))
		: text.slice(0, Math.ceil((limit - 1) / 2)) + "…" + text.slice(-Math.floor((limit - 1) / 2)),
};

// Times in the unit that suits the length of the recording.
function timeFormat(durationNs) {
	const [unit, ns] = durationNs >= 2e9 ? ["s", 1e9] : durationNs >= 2e6 ? ["ms", 1e6] : ["µs", 1e3];
	const digits = Math.max(0, Math.ceil(-Math.log10(durationNs / ns / 1000)));
	const number = d3.format(`.${digits}f`);
	return { unit, ns, number: value => number(value / ns), text: value => `${number(value / ns)} ${unit}` };
}
