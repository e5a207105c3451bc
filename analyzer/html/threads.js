// SPDX-License-Identifier: MIT
// threads.js: who touched memory that who asked for.

function threadMatrix() {
	const { data, byOwner, selection } = model;
	const MOST = 16;
	const element = d3.select("#threads .table");
	const table = element.append("table").attr("class", "matrix");
	table.append("caption").attr("class", "said").text("Memory by who touched it and who asked for it");
	const head = table.append("thead").append("tr"), body = table.append("tbody");

	// The threads with most of it, and -2 for the others when there are more.
	function leading(sums) {
		const order = Array.from(sums.keys()).sort((a, b) => sums.get(b) - sums.get(a));
		return order.length > MOST ? order.slice(0, MOST - 1).concat(-2) : order;
	}
	const name = (thread, several) => thread === -2 ? "others" : model.threadName(thread)
		+ (several && thread >= 0 ? ` of ${data.processes.pid[data.threads.process[thread]]}` : "");

	function draw() {
		const touched = new Map(), owned = new Map();
		model.each(byOwner, i => {
			const value = byOwner[selection.measure][i];
			touched.set(byOwner.thread[i], (touched.get(byOwner.thread[i]) || 0) + value);
			owned.set(byOwner.owner[i], (owned.get(byOwner.owner[i]) || 0) + value);
		});
		const rows = leading(touched), columns = leading(owned);
		const rowOf = thread => rows.includes(thread) ? thread : -2;
		const columnOf = thread => columns.includes(thread) ? thread : -2;
		const cells = new Map();
		let total = 0;
		model.each(byOwner, i => {
			const id = rowOf(byOwner.thread[i]) + "/" + columnOf(byOwner.owner[i]);
			const cell = cells.get(id) || { bytes: 0, faults: 0 };
			cell.bytes += byOwner.bytes[i];
			cell.faults += byOwner.faults[i];
			total += byOwner[selection.measure][i];
			cells.set(id, cell);
		});
		const several = data.processes.pid.length > 1;
		head.selectAll("th").data([null].concat(columns, "sum")).join("th").attr("scope", "col")
			.text(d => d === null ? "touched by \\ asked for by" : d === "sum" ? "sum" : name(d, several));
		body.selectAll("tr").data(rows, d => d).join("tr").order().each(function (thread) {
			const line = d3.select(this);
			line.selectAll("th").data([thread]).join("th").attr("scope", "row").text(name(thread, several));
			const values = columns.map(column => cells.get(thread + "/" + column) || { bytes: 0, faults: 0 });
			const sum = { bytes: d3.sum(values, d => d.bytes), faults: d3.sum(values, d => d.faults), isSum: true };
			line.selectAll("td").data(values.concat(sum)).join("td").attr("class", "number")
				.classed("own", (d, i) => columns[i] === thread && thread >= 0)
				.style("--part", d => d.isSum ? 0 : Math.sqrt(d[selection.measure] / (total || 1)))
				.each(function (d) {
					putData(d3.select(this), d[selection.measure],
						d.faults === 0 ? "·" : format.measure(selection.measure, d[selection.measure]));
				});
		});
	}
	model.events.on("change.threads", draw);
	draw();
}
