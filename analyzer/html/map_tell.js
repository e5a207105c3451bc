// SPDX-License-Identifier: MIT
// map_tell.js: says in words what lies at a point of the map: page, time, thread, region and stack.

const mapTell = (() => {
	const { data, runs, selection } = model;
	const PAGE = data.trace.page_size, FRAMES = 12;

	// The youngest region with that page that is not younger than the time; -1 when it was not kept.
	function regionAt(process, page, time) {
		const { start, pages, process: owner, time: born } = data.regions;
		let best = -1;
		for (let r = 0; r < start.length; r++)
			if (start[r] <= page && page < start[r] + pages[r] && owner[r] === process && born[r] <= time
				&& (best < 0 || born[r] >= born[best]))
				best = r;
		return best;
	}
	const regionName = region => data.sources[data.regions.source[region]];

	// What was touched within `reach` pixels: numbers of runs, most faults first.
	function runsAt(px, py, reach, x, y, address) {
		const fromRow = y.invert(py - reach), toRow = y.invert(py + reach);
		const from = Math.floor(x.invert(px - reach)) - runs.step + 1, to = Math.floor(x.invert(px + reach)) + 1;
		const [first, last] = model.span(runs, Math.max(selection.from, from), Math.min(selection.to, to));
		const found = [];
		for (let i = first; i < last; i++) {
			if (!model.isSelected(runs.thread[i]))
				continue;
			const [row, end] = address.rowsOf(i);
			if (row <= toRow && end >= fromRow)
				found.push(i);
		}
		return found.sort((a, b) => runs.faults[b] - runs.faults[a]);
	}

	function frames(place) {
		const { parent, frame } = data.nodes;
		const names = [];
		let node = data.places.node[place];
		for (; node > 0 && names.length < FRAMES; node = parent[node])
			names.push(format.fit(format.short(data.frames.name[frame[node]]), 60));
		return node > 0 ? names.concat("…") : names;
	}

	function tellRun(run, page) {
		const process = processOf(run), origin = runs.origin[run];
		const region = regionAt(process, page, runs.time[run]);
		const { how, place } = data.origins;
		const mostly = data.merged.map_by_lead ? "mostly touched by" : "touched by";
		const several = data.processes.pid.length > 1;
		const lines = [`page ${format.address(page * PAGE)}`,
			["at", model.timeText(runs.time[run])],
			[mostly, model.threadName(runs.thread[run])
				+ (several ? `, process ${data.processes.pid[process]}` : "")],
			["access", data.accesses[runs.access[run]] || "not told"]];
		if (runs.faults[run] > 1)
			lines.push(["with it", `${format.count(runs.faults[run])} faults on ${format.count(runs.pages[run])} pages`
				+ ` from ${format.address(runs.page[run] * PAGE)}`]);
		if (region >= 0)
			lines.push(["region", [regionName(region), format.address(data.regions.start[region] * PAGE),
				format.bytes(data.regions.pages[region] * PAGE)].join(", ")]);
		if (how[origin] !== null)
			lines.push(["asked for by", how[origin] + (place[origin] === 0 ? ""
				: ` in ${format.short(model.siteText(data.places.site[place[origin]]).name)}`)]);
		frames(runs.place[run]).forEach((name, i) => lines.push([i === 0 ? "stack" : "", name]));
		return lines;
	}

	// Lines for tip.show about the point (px, py) of a drawing with these scales.
	function describe(px, py, x, y, address) {
		const place = address.invert(y.invert(py));
		const found = [0.5, 2, 5].reduce((list, reach) =>
			list.length > 0 ? list : runsAt(px, py, reach, x, y, address), []);
		if (found.length === 0)
			return [place ? `page ${format.address(Math.floor(place.page) * PAGE)}` : "space that nothing touched",
				["at", model.timeText(Math.floor(x.invert(px)))], "nothing was touched here then"];
		const run = found[0], first = runs.page[run], last = first + runs.pages[run] - 1;
		const isNear = place && place.extent.process === processOf(run);
		const lines = tellRun(run, isNear ? Math.min(last, Math.max(first, Math.floor(place.page))) : first);
		return found.length === 1 ? lines : lines.concat(`and ${format.count(found.length - 1)} more here: zoom in`);
	}

	return { describe, regionAt, regionName };
})();
