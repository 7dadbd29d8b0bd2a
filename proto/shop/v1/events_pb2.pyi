from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("event_id", "session_id", "user_id", "event_time_ms", "source", "product_viewed", "product_searched", "product_added_to_cart", "product_removed_from_cart", "checkout_started", "order_placed", "payment_processed", "payment_failed", "order_cancelled", "user_signed_in")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_VIEWED_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_SEARCHED_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_ADDED_TO_CART_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_REMOVED_FROM_CART_FIELD_NUMBER: _ClassVar[int]
    CHECKOUT_STARTED_FIELD_NUMBER: _ClassVar[int]
    ORDER_PLACED_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_PROCESSED_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FAILED_FIELD_NUMBER: _ClassVar[int]
    ORDER_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    USER_SIGNED_IN_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    session_id: str
    user_id: str
    event_time_ms: int
    source: Source
    product_viewed: ProductViewed
    product_searched: ProductSearched
    product_added_to_cart: ProductAddedToCart
    product_removed_from_cart: ProductRemovedFromCart
    checkout_started: CheckoutStarted
    order_placed: OrderPlaced
    payment_processed: PaymentProcessed
    payment_failed: PaymentFailed
    order_cancelled: OrderCancelled
    user_signed_in: UserSignedIn
    def __init__(self, event_id: _Optional[str] = ..., session_id: _Optional[str] = ..., user_id: _Optional[str] = ..., event_time_ms: _Optional[int] = ..., source: _Optional[_Union[Source, _Mapping]] = ..., product_viewed: _Optional[_Union[ProductViewed, _Mapping]] = ..., product_searched: _Optional[_Union[ProductSearched, _Mapping]] = ..., product_added_to_cart: _Optional[_Union[ProductAddedToCart, _Mapping]] = ..., product_removed_from_cart: _Optional[_Union[ProductRemovedFromCart, _Mapping]] = ..., checkout_started: _Optional[_Union[CheckoutStarted, _Mapping]] = ..., order_placed: _Optional[_Union[OrderPlaced, _Mapping]] = ..., payment_processed: _Optional[_Union[PaymentProcessed, _Mapping]] = ..., payment_failed: _Optional[_Union[PaymentFailed, _Mapping]] = ..., order_cancelled: _Optional[_Union[OrderCancelled, _Mapping]] = ..., user_signed_in: _Optional[_Union[UserSignedIn, _Mapping]] = ...) -> None: ...

class Source(_message.Message):
    __slots__ = ("app", "app_version", "device_id", "ip", "country")
    APP_FIELD_NUMBER: _ClassVar[int]
    APP_VERSION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    IP_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    app: str
    app_version: str
    device_id: str
    ip: str
    country: str
    def __init__(self, app: _Optional[str] = ..., app_version: _Optional[str] = ..., device_id: _Optional[str] = ..., ip: _Optional[str] = ..., country: _Optional[str] = ...) -> None: ...

class Money(_message.Message):
    __slots__ = ("amount_minor", "currency")
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    amount_minor: int
    currency: str
    def __init__(self, amount_minor: _Optional[int] = ..., currency: _Optional[str] = ...) -> None: ...

class LineItem(_message.Message):
    __slots__ = ("product_id", "category", "quantity", "unit_price")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    category: str
    quantity: int
    unit_price: Money
    def __init__(self, product_id: _Optional[str] = ..., category: _Optional[str] = ..., quantity: _Optional[int] = ..., unit_price: _Optional[_Union[Money, _Mapping]] = ...) -> None: ...

class ProductViewed(_message.Message):
    __slots__ = ("product_id", "category", "price")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    category: str
    price: Money
    def __init__(self, product_id: _Optional[str] = ..., category: _Optional[str] = ..., price: _Optional[_Union[Money, _Mapping]] = ...) -> None: ...

class ProductSearched(_message.Message):
    __slots__ = ("query", "results")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    query: str
    results: int
    def __init__(self, query: _Optional[str] = ..., results: _Optional[int] = ...) -> None: ...

class ProductAddedToCart(_message.Message):
    __slots__ = ("item",)
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: LineItem
    def __init__(self, item: _Optional[_Union[LineItem, _Mapping]] = ...) -> None: ...

class ProductRemovedFromCart(_message.Message):
    __slots__ = ("product_id", "quantity")
    PRODUCT_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    product_id: str
    quantity: int
    def __init__(self, product_id: _Optional[str] = ..., quantity: _Optional[int] = ...) -> None: ...

class CheckoutStarted(_message.Message):
    __slots__ = ("cart_value", "items")
    CART_VALUE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    cart_value: Money
    items: int
    def __init__(self, cart_value: _Optional[_Union[Money, _Mapping]] = ..., items: _Optional[int] = ...) -> None: ...

class OrderPlaced(_message.Message):
    __slots__ = ("order_id", "lines", "total")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    lines: _containers.RepeatedCompositeFieldContainer[LineItem]
    total: Money
    def __init__(self, order_id: _Optional[str] = ..., lines: _Optional[_Iterable[_Union[LineItem, _Mapping]]] = ..., total: _Optional[_Union[Money, _Mapping]] = ...) -> None: ...

class PaymentProcessed(_message.Message):
    __slots__ = ("order_id", "payment_id", "amount", "method", "card_fingerprint")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CARD_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    payment_id: str
    amount: Money
    method: str
    card_fingerprint: str
    def __init__(self, order_id: _Optional[str] = ..., payment_id: _Optional[str] = ..., amount: _Optional[_Union[Money, _Mapping]] = ..., method: _Optional[str] = ..., card_fingerprint: _Optional[str] = ...) -> None: ...

class PaymentFailed(_message.Message):
    __slots__ = ("order_id", "amount", "reason", "card_fingerprint")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CARD_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    amount: Money
    reason: str
    card_fingerprint: str
    def __init__(self, order_id: _Optional[str] = ..., amount: _Optional[_Union[Money, _Mapping]] = ..., reason: _Optional[str] = ..., card_fingerprint: _Optional[str] = ...) -> None: ...

class OrderCancelled(_message.Message):
    __slots__ = ("order_id", "reason")
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    order_id: str
    reason: str
    def __init__(self, order_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class UserSignedIn(_message.Message):
    __slots__ = ("method",)
    METHOD_FIELD_NUMBER: _ClassVar[int]
    method: str
    def __init__(self, method: _Optional[str] = ...) -> None: ...
