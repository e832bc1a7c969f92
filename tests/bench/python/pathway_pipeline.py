"""The newest state of orders, items and customers, and two joins, in Pathway: no documents, windows, alerts or dead letters.

Arguments: a file with an event on each line, as JSON with "topic" and "payload"; the file for the result, as CSV. Prints the
seconds that it took, without the time to load Pathway.
"""

import sys
import time

import pathway as pw


class Event(pw.Schema):
    topic: str
    payload: pw.Json


def newest(events, table, key):
    """The newest rows of a source table that are not deleted, as columns `key` and `row`."""
    of_table = events.filter(events.topic.str.startswith(f"cdc/oracle/SALES/{table}/"))
    change = pw.this.payload["payload"]
    is_delete = change["op"].as_str() == "d"
    changes = of_table.select(
        is_delete=is_delete,
        scn=change["source"]["scn"].as_str(),
        row=pw.if_else(is_delete, change["before"], change["after"]),
    )
    changes = changes.with_columns(key=pw.unwrap(pw.this.row[key].as_int()))
    last = changes.groupby(pw.this.key).reduce(change=pw.reducers.argmax(pw.this.scn))
    rows = changes.ix(last.change, context=last)
    return rows.filter(~rows.is_delete)


def enriched(events):
    """Orders with the tier of their customer and the number of their items."""
    orders = newest(events, "ORDERS", "ORDER_ID").select(
        order_id=pw.this.key,
        customer_id=pw.this.row["CUSTOMER_ID"].as_int(),
        total_amount=pw.this.row["TOTAL_AMOUNT"].as_float(),
        status=pw.this.row["STATUS"].as_str(),
    )
    customers = newest(events, "CUSTOMERS", "CUSTOMER_ID").select(
        customer_id=pw.this.key, tier=pw.this.row["TIER"].as_str()
    )
    items = newest(events, "ORDER_ITEMS", "ITEM_ID").select(order_id=pw.this.row["ORDER_ID"].as_int())
    counts = items.groupby(pw.this.order_id).reduce(pw.this.order_id, item_count=pw.reducers.count())
    of_customers = orders.join_left(customers, pw.left.customer_id == pw.right.customer_id).select(
        *pw.left, pw.right.tier
    )
    return of_customers.join_left(counts, pw.left.order_id == pw.right.order_id).select(
        *pw.left, item_count=pw.coalesce(pw.right.item_count, 0)
    )


def main():
    events_file, result_file = sys.argv[1:]
    started = time.monotonic()
    events = pw.io.jsonlines.read(events_file, schema=Event, mode="static")
    pw.io.csv.write(enriched(events), result_file)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    print(time.monotonic() - started)


main()
