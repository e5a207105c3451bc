// SPDX-License-Identifier: MIT
// model.js: the data of the page, what of it is selected, and its sums.
//
// Faults are counted in three tables, by the place in the code, by the origin of the memory and by its
// owner, each with time and thread, and once more in runs of pages for the map. What was asked for is
// a table, too. The selection is a span of time and a set of threads.

const model = (() => {
	const data = pageData;
	const { start_ns: startNs, step_ns: stepNs, steps, snap } = data.time;
	const time = timeFormat(steps * stepNs);

	// Names come from the traced program: what would change how the page is read becomes visible.
	// eslint-disable-next-line no-control-regex
	const invisible = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
	const clean = name => name === null ? null : name.replace(invisible, "\ufffd");
	for (const [table, column] of [["trace", "name"], ["trace", "command"], ["frames", "name"], ["sites", "file"],
		["processes", "name"], ["threads", "name"], ["origins", "how"]]) {
		const names = data[table][column];
		data[table][column] = Array.isArray(names) ? names.map(clean) : clean(names);
	}
	data.modules = data.modules.map(clean);
	data.sources = data.sources.map(clean);

	// Differences become values, the table's own steps become those of the page, and bytes that are
	// not told the usual ones.
	function addUp(column, scale) {
		// a loop, for tables are long: Float64Array.from() with a function takes many times as long
		const values = new Float64Array(column.length);
		let last = 0;
		for (let i = 0; i < column.length; i++)
			values[i] = (last += column[i]) * scale;
		return values;
	}
	function readTable(table) {
		const bytes = table.bytes && table.bytes.map((value, i) => value + table.faults[i] * data.trace.granularity);
		return Object.assign({}, table, { time: addUp(table.time, table.step) }, bytes && { bytes });
	}
	const byPlace = readTable(data.by_place), byOrigin = readTable(data.by_origin), byOwner = readTable(data.by_owner);
	const asked = readTable(data.asked);
	const runs = Object.assign(readTable(data.runs), { page: addUp(data.runs.page, 1) });

	const selection = {
		measure: "bytes",
		from: 0, to: steps, // `to` excluded; both are ends of the longest steps
		threads: null,      // Uint8Array of booleans; null: all
	};
	const events = d3.dispatch("change");

	// The rows of a time, as a pair of indices; those of all threads are among them.
	const span = (table, from, to) => [d3.bisectLeft(table.time, from), d3.bisectLeft(table.time, to)];
	const isSelected = thread => !selection.threads || thread < 0 || selection.threads[thread] === 1;

	// Calls visit(i) for each selected row (of all times when told so).
	function each(table, visit, allTimes) {
		const [first, last] = allTimes ? [0, table.time.length] : span(table, selection.from, selection.to);
		for (let i = first; i < last; i++)
			if (isSelected(table.thread[i]))
				visit(i);
	}

	// Sums of the selected rows by what key(i) says, a number below `count`.
	function sums(table, count, key, allTimes) {
		const result = { bytes: new Float64Array(count), faults: new Float64Array(count) };
		each(table, i => {
			const k = key(i);
			result.bytes[k] += table.bytes[i];
			result.faults[k] += table.faults[i];
		}, allTimes);
		return result;
	}

	function change(what) {
		Object.assign(selection, what);
		events.call("change", null, what);
	}

	// Selects a time, from about one step to about another.
	function selectTime(from, to) {
		const first = Math.min(Math.max(0, Math.round(from / snap) * snap), steps - snap);
		change({ from: first, to: Math.min(steps, Math.max(first + snap, Math.round(to / snap) * snap)) });
	}

	const nsOf = step => startNs + step * stepNs;

	return {
		data, byPlace, byOrigin, byOwner, asked, runs, selection, events, time,
		change, selectTime, each, span, isSelected, sums, nsOf,
		stepOf: ns => (ns - startNs) / stepNs,
		timeText: step => time.text(nsOf(step)),
		isWhole: () => selection.from === 0 && selection.to === steps,
		isSelectedRun: i => runs.time[i] >= selection.from && runs.time[i] < selection.to && isSelected(runs.thread[i]),
		threadName(thread) {
			if (thread < 0)
				return "(unknown)";
			const name = data.threads.name[thread];
			return `${name || "thread"} (${data.threads.tid[thread]})`;
		},
		moduleName: index => index < 0 ? "" : format.base(data.modules[index]),
		// A site as texts: the function, where it is as far as the name does not tell, and its path.
		siteText(site) {
			const { frame, file, line, offset } = data.sites;
			if (frame[site] < 0)
				return { name: `(${format.count(data.merged.sites)} others)`, where: "", path: "" };
			const module = data.frames.module[frame[site]];
			return {
				name: data.frames.name[frame[site]],
				where: file[site] !== null ? `${format.base(file[site])}:${line[site]}`
					: offset[site] < 0 || module < 0 ? ""
					: `${format.base(data.modules[module])}+0x${offset[site].toString(16)}`,
				path: file[site] !== null ? file[site] : module < 0 ? "" : data.modules[module],
			};
		},
	};
})();
