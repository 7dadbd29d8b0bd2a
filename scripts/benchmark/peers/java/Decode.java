package millrace.reference;

import com.google.protobuf.InvalidProtocolBufferException;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.FunctionHint;
import org.apache.flink.table.functions.TableFunction;
import org.apache.flink.types.Row;
import shop.v1.Events;

/**
 * What jobs/ does in Python (decode, rules, facts), in Java: one row for each event, with where it goes and what it sold.
 *
 * <p>The rules of rules/ written out, as a team would without rules that change while it runs; no dead letters.
 */
@FunctionHint(
    output =
        @DataTypeHint(
            "ROW<session_id STRING, event_id STRING, ordered ARRAY<STRING NOT NULL>, unordered ARRAY<STRING NOT NULL>, "
                + "lines ARRAY<ROW<category STRING, product_id STRING, currency STRING, quantity BIGINT, amount_minor BIGINT, "
                + "`first` BIGINT>>>"))
public class Decode extends TableFunction<Row> {
  private static final String[] NONE = {};
  private static final String[] ORDERS = {"orders"};
  private static final String[] PAYMENTS = {"payments"};
  private static final String[] SESSION = {"session-activity"};
  private static final String[] FRAUD = {"fraud-detection"};

  public void eval(byte[] value) throws InvalidProtocolBufferException {
    Events.Event event = Events.Event.parseFrom(value);
    String[] ordered;
    String[] unordered = NONE;
    Row[] lines = null;
    switch (event.getPayloadCase()) {
      case ORDER_PLACED:
        Events.OrderPlaced order = event.getOrderPlaced();
        ordered = ORDERS;
        if (order.getTotal().getAmountMinor() > 100_000 && order.getTotal().getCurrency().equals("USD")) {
          unordered = FRAUD;
        }
        lines = lines(order);
        break;
      case ORDER_CANCELLED:
        ordered = ORDERS;
        break;
      case PAYMENT_PROCESSED:
        ordered = PAYMENTS;
        break;
      case PAYMENT_FAILED:
        ordered = PAYMENTS;
        unordered = FRAUD;
        break;
      case PAYLOAD_NOT_SET:
        ordered = NONE;
        break;
      default:
        ordered = SESSION;
    }
    collect(Row.of(event.getSessionId(), event.getEventId(), ordered, unordered, lines));
  }

  private static Row[] lines(Events.OrderPlaced order) {
    Row[] lines = new Row[order.getLinesCount()];
    Set<String> seen = new HashSet<>();
    for (int index = 0; index < lines.length; index++) {
      Events.LineItem line = order.getLines(index);
      long quantity = line.getQuantity();
      lines[index] =
          Row.of(
              line.getCategory(),
              line.getProductId(),
              order.getTotal().getCurrency(),
              quantity,
              quantity * line.getUnitPrice().getAmountMinor(),
              seen.add(line.getCategory()) ? 1L : 0L);
    }
    return lines;
  }
}
