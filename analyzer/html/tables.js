// SPDX-License-Identifier: MIT
// tables.js: the tables of code that touched memory and of code that asked for it.

// A table that can be sorted by its columns. columns: { key, head, number, cell(selection) }, where
// cell draws the content of cells that have a row as datum; `value(row)` is what it is sorted by.
// Returns show(rows).
function sortedTable(element, caption, columns, sortKey) {
	const FEW = 15;
	let rows = [], key = sortKey, descending = true, all = false;
	const table = d3.select(element).append("table");
	table.append("caption").attr("class", "said").text(caption);
	const heads = table.append("thead").append("tr").selectAll("th").data(columns).join("th")
		.attr("scope", "col").classed("number", d => d.number);
	heads.filter(d => d.head).append("button").attr("type", "button").text(d => d.head).on("click", d => {
		descending = key === d.key ? !descending : Boolean(d.number);
		key = d.key;
		draw();
	});
	const body = table.append("tbody");
	const more = d3.select(element).append("button").attr("type", "button").on("click", () => {
		all = !all;
		draw();
	});

	function draw() {
		const { value } = columns.find(column => column.key === key);
		const order = descending ? d3.descending : d3.ascending;
		const sorted = rows.slice().sort((a, b) => order(value(a), value(b)) || d3.ascending(a.id, b.id));
		heads.attr("aria-sort", d => d.key !== key ? null : descending ? "descending" : "ascending");
		const lines = body.selectAll("tr").data(all ? sorted : sorted.slice(0, FEW), d => d.id).join("tr").order();
		lines.selectAll("td").data(row => columns.map(column => ({ column, row }))).join("td")
			.classed("number", d => d.column.number)
			.each(function (d) { d.column.cell(d3.select(this), d.row); });
		more.attr("hidden", rows.length <= FEW ? true : null)
			.text(all ? `show ${FEW}` : `show all ${format.count(rows.length)}`);
	}
	return newRows => {
		rows = newRows;
		draw();
	};
}

// A number that others can read, too: <data value="1234">1,234</data>.
function putData(cell, value, text) {
	cell.selectAll("data").data([0]).join("data").attr("value", value).text(text);
}

const putShare = (cell, part, whole) => putData(cell, part / (whole || 1), format.share(part, whole));

// A bar of parts in a frame of `whole`, of `most`.
function putBar(cell, parts, whole, most) {
	const bar = cell.attr("class", "bars").selectAll("span.bar").data([0]).join(enter => {
		return enter.append("span").attr("class", "bar").attr("aria-hidden", "true");
	});
	bar.style("width", `${100 * whole / (most || 1)}%`).selectAll("i").data(parts).join("i")
		.style("width", part => `${whole > 0 ? Math.min(100, 100 * part / whole) : 0}%`);
}

const functionColumn = {
	key: "function", head: "function", value: row => model.siteText(row.site).name.toLowerCase(),
	cell: (cell, row) => cell.attr("class", "name").text(format.short(model.siteText(row.site).name))
		.attr("title", model.siteText(row.site).name),
};
const whereColumn = {
	key: "where", head: "where", value: row => model.siteText(row.site).where.toLowerCase(),
	cell: (cell, row) => cell.attr("class", "where").text(model.siteText(row.site).where)
		.attr("title", model.siteText(row.site).path || null),
};

function siteTable() {
	const { data, byPlace, selection } = model;
	let total = 0, most = 0;
	const number = (key, head, text) => ({ key, head, number: true, value: row => row[key],
		cell: (cell, row) => putData(cell, row[key], text(row[key])) });
	const show = sortedTable(document.querySelector("#sites .table"), "Code by what it touched first", [
		number("bytes", "MiB", value => d3.format(",.2f")(value / MIB)),
		number("faults", "faults", format.count),
		{ key: "share", head: "%", number: true, value: row => row[selection.measure],
			cell: (cell, row) => putShare(cell, row[selection.measure], total) },
		{ key: "bar", head: "", value: row => row[selection.measure],
			cell: (cell, row) => putBar(cell, [row[selection.measure]], row[selection.measure], most) },
		functionColumn, whereColumn,
	], "share");

	function draw() {
		const sums = model.sums(byPlace, data.sites.frame.length, i => data.places.site[byPlace.place[i]]);
		total = d3.sum(sums[selection.measure]);
		most = d3.max(sums[selection.measure]);
		show(d3.range(data.sites.frame.length).filter(site => sums.faults[site] > 0)
			.map(site => ({ id: site, site, bytes: sums.bytes[site], faults: sums.faults[site] })));
	}
	model.events.on("change.sites", draw);
	draw();
}

function originTable() {
	const { data, asked } = model;
	let most = 0;
	const mib = (key, head) => ({ key, head, number: true, value: row => row[key],
		cell: (cell, row) => putData(cell, row[key], d3.format(",.2f")(row[key] / MIB)) });
	const show = sortedTable(document.querySelector("#origins .table"), "Code by the memory that it asked for", [
		mib("reserved", "reserved MiB"), mib("touched", "touched"), mib("present", "there before"),
		mib("untouched", "never touched"),
		{ key: "share", head: "%", number: true, value: row => row.touched / (row.reserved || 1),
			cell: (cell, row) => putShare(cell, row.touched, row.reserved) },
		{ key: "bar", head: "touched of reserved", value: row => row.reserved,
			cell: (cell, row) => putBar(cell, [row.touched, row.present], row.reserved, most) },
		{ key: "count", head: "times", number: true, value: row => row.count,
			cell: (cell, row) => putData(cell, row.count, format.count(row.count)) },
		{ key: "how", head: "by", value: row => row.how, cell: (cell, row) => cell.text(row.how) },
		functionColumn, whereColumn,
	], "reserved");

	function draw() {
		const rows = new Map();
		model.each(asked, i => {
			if (data.origins.told[asked.origin[i]])
				return;
			const origin = asked.origin[i], site = data.places.site[data.origins.place[origin]];
			const how = data.origins.how[origin], id = `${data.origins.allocation[origin]} ${how} ${site}`;
			let row = rows.get(id);
			if (!row)
				rows.set(id, row = { id, site, how, count: 0, reserved: 0, touched: 0, present: 0, untouched: 0 });
			row.count += asked.count[i];
			row.reserved += asked.reserved[i];
			row.touched += asked.touched[i];
			row.present += asked.present[i];
			row.untouched = Math.max(0, row.reserved - row.touched - row.present);
		});
		const list = Array.from(rows.values());
		most = d3.max(list, row => row.reserved);
		show(list);
	}
	model.events.on("change.origins", draw);
	draw();
}
