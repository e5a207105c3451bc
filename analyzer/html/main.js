// SPDX-License-Identifier: MIT
// main.js: the head of the page, the controls that everything obeys, and the start of it all.

// The site with the largest value, and a name.
const heaviestSite = values => d3.range(values.length).filter(site => model.data.sites.frame[site] >= 0)
	.reduce((best, site) => best < 0 || values[site] > values[best] ? site : best, -1);

function drawHead() {
	const { data } = model;
	const { trace, totals } = data;
	const { byPlace } = model;
	document.title = `faultline: ${trace.command || trace.name}`;
	d3.select("#command").text(trace.command || trace.name);
	d3.select("#session").text([trace.time, `mode ${trace.mode}`, `stacks by ${trace.capture}`,
		`Linux ${trace.kernel} ${trace.machine}`, `${format.bytes(trace.granularity)} a fault`, trace.name]
		.concat(data.filters).join(" · "));
	const warnings = (!trace.cut ? [] : ["The trace is cut: the recording did not end properly."])
		.concat(totals.lost > 0 ? [`${format.count(totals.lost)} things could not be recorded: see below.`] : []);
	d3.select("#warning").attr("hidden", warnings.length ? null : true).text(warnings.join(" "));

	const entries = [
		["touched", totals.bytes, format.bytes(totals.bytes)],
		["at most at once", totals.peak_bytes, format.bytes(totals.peak_bytes)],
		["faults", totals.faults, format.count(totals.faults)],
		["seconds", totals.duration_ns, d3.format(",.2f")(totals.duration_ns / 1e9)],
		["threads", totals.threads, format.count(totals.threads)],
		["processes", totals.processes, format.count(totals.processes)],
		["lost", totals.lost, format.count(totals.lost)],
	];
	const items = d3.select("#headline").selectAll("div").data(entries).join("div");
	items.append("dt").text(d => d[0]);
	items.append("dd").attr("data-total", d => d[0]).append("data").attr("value", d => d[1]).text(d => d[2]);

	const sums = model.sums(byPlace, data.sites.frame.length, i => data.places.site[byPlace.place[i]], true).bytes;
	const most = heaviestSite(sums);
	if (sums[most] > 0) {
		const { name } = model.siteText(most);
		const answer = d3.select("#answer");
		answer.text("Most of it was touched by ");
		answer.append("strong").text(format.fit(format.short(name), 80));
		answer.append("span").text(`: ${format.bytes(sums[most])}, ${format.share(sums[most], totals.bytes)}.`);
	}
	answerUntouched();
}

// What allocations asked for and nobody touched.
function answerUntouched() {
	const { data, asked } = model;
	const untouched = new Float64Array(data.sites.frame.length);
	let reserved = 0;
	for (let i = 0; i < asked.time.length; i++) {
		const origin = asked.origin[i];
		if (!data.origins.allocation[origin])
			continue;
		reserved += asked.reserved[i];
		const site = data.places.site[data.origins.place[origin]];
		untouched[site] += asked.reserved[i] - asked.touched[i] - asked.present[i];
	}
	const sum = d3.sum(untouched, value => Math.max(0, value)), most = heaviestSite(untouched);
	if (sum > 0)
		d3.select("#unused").text(`Allocations asked for ${format.bytes(reserved)}; ${format.bytes(sum)} of it, `
			+ `${format.share(sum, reserved)}, was never touched, `).append("span")
			.text(`most of it ${format.bytes(untouched[most])} for `).append("strong")
			.text(format.fit(format.short(model.siteText(most).name), 80));
}

function drawFilters() {
	const { data, byPlace, selection, time } = model;
	d3.selectAll("input[name=measure]").on("change", function () {
		model.change({ measure: this.value });
	});

	// Who: all, a process, a thread.
	const who = d3.select("#who");
	who.append("option").attr("value", "").text("all threads");
	data.processes.pid.forEach((pid, process) => {
		const threads = d3.range(data.threads.tid.length).filter(i => data.threads.process[i] === process);
		const group = who.append("optgroup")
			.attr("label", `process ${pid} ${format.base(data.processes.name[process])}`);
		if (data.processes.pid.length > 1)
			group.append("option").attr("value", "p" + process).text(`all of ${pid}`);
		for (const thread of threads)
			group.append("option").attr("value", "t" + thread).text(model.threadName(thread));
	});
	d3.select("#who-label").attr("hidden", data.threads.tid.length < 2 || data.merged.threads ? true : null);
	who.on("change", function () {
		const index = Number(this.value.slice(1));
		model.change({ threads: this.value === "" ? null : Uint8Array.from(data.threads.tid, (_, i) =>
			(this.value[0] === "p" ? data.threads.process[i] : i) === index ? 1 : 0) });
	});

	const from = d3.select("#from"), to = d3.select("#to");
	d3.select("#time-unit").text(time.unit);
	// A field without a number keeps what was selected.
	const readTimes = () => {
		const step = (input, selected) => {
			const number = input.property("valueAsNumber");
			return Number.isNaN(number) ? selected : model.stepOf(number * time.ns);
		};
		model.selectTime(step(from, selection.from), step(to, selection.to));
	};
	from.on("change", readTimes);
	to.on("change", readTimes);
	d3.select("#all-time").on("click", () => model.selectTime(0, data.time.steps));
	d3.select("#filters").on("submit", () => d3.event.preventDefault());

	function draw() {
		from.property("value", time.number(model.nsOf(selection.from)));
		to.property("value", time.number(model.nsOf(selection.to)));
		d3.select("#all-time").property("disabled", model.isWhole());
		let bytes = 0, faults = 0;
		model.each(byPlace, i => {
			bytes += byPlace.bytes[i];
			faults += byPlace.faults[i];
		});
		const output = d3.select("#selected").text("")
			.attr("data-from-ns", model.nsOf(selection.from)).attr("data-to-ns", model.nsOf(selection.to));
		output.append("data").attr("value", bytes).text(format.bytes(bytes));
		output.append("span").text(", ");
		output.append("data").attr("value", faults).text(format.measure("faults", faults));
		output.append("span").text(", " + format.share(selection.measure === "bytes" ? bytes : faults,
			data.totals[selection.measure]));
	}
	model.events.on("change.filters", draw);
	draw();
}

// What the numbers are, and what was put together so that the page stays small.
function drawNotes() {
	const { data } = model;
	const { merged, trace } = data;
	const list = [
		"Memory is counted as pages that faults brought in. Memory that an allocator hands out again was there "
			+ "before and is not counted again.",
		`Time can be selected in steps of ${model.time.text(data.time.step_ns * data.time.snap)}.`,
	];
	if (merged.block_pages > 1)
		list.push(`Addresses are told in blocks of ${format.bytes(merged.block_pages * trace.page_size)}.`);
	if (merged.map_by_lead)
		list.push("What the map says of a cell is true of most of it: who touched what in one step of time and one "
			+ "block of addresses was put together.");
	if (merged.runs_with_holes > 0)
		list.push(`${format.count(merged.runs_with_holes)} rows of pages of the map contain some that were not touched `
			+ "then: how many were is exact, which of them is not.");
	if (merged.threads)
		list.push("There are too many threads and places in the code to show what a single thread did: filters do.");
	if (merged.sites > 0)
		list.push(`${format.count(merged.sites)} places in the code with little memory are one row, "others".`);
	if (merged.branches > 0)
		list.push(`${format.count(merged.branches)} rare ways of calls are added to their callers in the flame graph: `
			+ `${format.share(merged.branch_faults, merged.tree_faults)} of the faults.`);
	if (merged.regions > data.regions.start.length)
		list.push(`Of ${format.count(merged.regions)} regions the ${format.count(data.regions.start.length)} with most `
			+ "touched memory are named in the map.");
	if (merged.names > 0)
		list.push(`${format.count(merged.names)} long names have lost their middle.`);
	if (list.length > 2)
		list.push("All sums are exact. faultline html --from=TIME --to=TIME, and its other filters, show a part "
			+ "in more detail.");
	data.lost_what.forEach((what, i) =>
		list.push(`Lost: ${format.count(data.lost_count[i])} ${what}: ${data.lost_why[i]}.`));
	d3.select("#notes").selectAll("p").data(list).join("p").text(d => d);
}

drawHead();
drawFilters();
growth();
addressMap(); // which asks for styles: before there are thousands of boxes
flame();
siteTable();
originTable();
threadMatrix();
drawNotes();
document.documentElement.dataset.ready = "true";
